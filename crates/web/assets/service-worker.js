// Shows what is pushed, and opens what it leads to. Caches nothing.

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));

addEventListener("push", (event) => {
  const { notification = {} } = event.data?.json() ?? {};
  const { title = "Keystile", navigate = "/", actions = [], ...options } = notification;
  event.waitUntil(registration.showNotification(title, {
    ...options,
    icon: "/assets/icon.svg",
    actions: actions.map(({ action, title }) => ({ action, title })),
    data: { navigate, actions: Object.fromEntries(actions.map((one) => [one.action, one.navigate])) },
  }));
});

addEventListener("notificationclick", (event) => {
  const { navigate, actions } = event.notification.data;
  event.notification.close();
  event.waitUntil(clients.openWindow(actions[event.action] ?? navigate));
});
