// Subscribes this browser to push messages.

const button = document.querySelector("[data-subscribe]");
const problem = (text) => {
  const place = document.querySelector("[data-passkey-problem]");
  place.textContent = text;
  place.hidden = false;
};

if (button && "serviceWorker" in navigator && "PushManager" in window) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      if ((await Notification.requestPermission()) !== "granted") throw new Error("The browser does not allow notifications of this page.");
      const registration = await navigator.serviceWorker.register("/service-worker.js");
      await navigator.serviceWorker.ready;
      const key = button.dataset.subscribe.replaceAll("-", "+").replaceAll("_", "/");
      const bytes = Uint8Array.from(atob(key), (c) => c.charCodeAt(0));
      const subscription = await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytes });
      const answer = await fetch("/settings/devices", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ subscription: subscription.toJSON(), label: button.form?.elements.device?.value }),
      });
      const said = await answer.json();
      if (said.problem) throw new Error(said.problem);
      location.href = said.to;
      location.reload();
    } catch (error) {
      problem(error.message);
      button.disabled = false;
    }
  });
}
