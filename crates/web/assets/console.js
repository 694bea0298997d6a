// What the pages gain with JavaScript: fresh times, copy buttons, and live updates. Everything works
// without. Text from outside is only ever set as text.

const relative = (time) => {
  const millis = Date.now() + skew - time;
  const seconds = Math.floor(Math.abs(millis) / 1000);
  const [minutes, hours, days] = [60, 3600, 86400].map((unit) => Math.floor((seconds + unit / 2) / unit));
  const two = (more, unit, less, smaller) => less ? `${more} ${unit} ${less} ${smaller}` : `${more} ${unit}`;
  // As the server rounds.
  const span =
    seconds < 5 ? null
    : seconds < 60 ? `${seconds} s`
    : minutes < 60 ? `${minutes} min`
    : minutes < 1440 ? two(Math.floor(minutes / 60), "h", minutes % 60, "min")
    : hours < 240 ? two(Math.floor(hours / 24), "d", hours % 24, "h")
    : `${days} d`;
  if (!span) return "just now";
  return millis < 0 ? `in ${span}` : `${span} ago`;
};

// The server's clock counts, not this machine's.
let skew = 0;

const freshen = () => {
  for (const element of document.querySelectorAll("time[datetime]")) {
    element.textContent = relative(Date.parse(element.dateTime));
  }
};
setInterval(freshen, 15_000);

for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  });
}

// What takes more than a moment says so, and is asked for once.
for (const form of document.querySelectorAll("form[data-slow]")) {
  form.addEventListener("submit", () => {
    const button = form.querySelector("button");
    button.textContent = form.dataset.slow;
    button.setAttribute("aria-busy", "true");
    setTimeout(() => { button.disabled = true; });
  });
}

// Parts of the page that the server draws are fetched again and swapped in: at once where something
// happened to a key, a little later where a write changed figures, so that many cost one answer.
const SOON = 400, FIGURES = 1_500;
let waiting = null;
const refresh = (delay) => {
  waiting ??= setTimeout(async () => {
    waiting = null;
    const answer = await fetch(location.href, { headers: { accept: "text/html", "keystile-refresh": "1" } });
    if (!answer.ok || answer.redirected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-refresh]")) {
      const other = fresh.querySelector(`[data-refresh="${part.dataset.refresh}"]`);
      const isUsed = part.contains(document.activeElement);
      if (other && !isUsed && other.innerHTML !== part.innerHTML) part.replaceWith(other);
    }
    const nav = document.querySelector(".bar nav"), other = fresh.querySelector(".bar nav");
    if (nav && other && !nav.contains(document.activeElement)) nav.replaceWith(other);
    freshen();
  }, delay);
};

// What does not show as itself is written out, as on the server.
const HIDDEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\u{e0100}-\u{e01ef}]/gu;
const JOINERS = "\u200c\u200d";
const visible = (text) => String(text ?? "").replace(HIDDEN, (c) =>
  JOINERS.includes(c) ? c : `\\u{${c.codePointAt(0).toString(16)}}`);

const cell = (row, ...children) => {
  const td = document.createElement("td");
  for (const child of children) td.append(child, " ");
  row.append(td);
  return td;
};
const make = (name, className, text) => {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.textContent = visible(text);
  return element;
};
const link = (href, child) => {
  const a = document.createElement("a");
  a.href = href;
  a.append(typeof child === "string" ? visible(child) : child);
  return a;
};
const methodClass = (method) => (method === "DELETE" ? "delete" : method === "POST" ? "add" : "change");

const drawn = (record, ofKey) => {
  const row = document.createElement("tr");
  row.dataset.id = record.id;
  const time = make("time", "", relative(Date.parse(record.time)));
  time.dateTime = record.time;
  time.title = `${record.time.slice(0, 10)} ${record.time.slice(11, 19)} UTC`;
  cell(row, link(`/journal/${encodeURIComponent(record.id)}`, time));
  if (!ofKey) {
    if (record.key) cell(row, link(`/keys/${encodeURIComponent(record.key)}`, record.application ?? record.key));
    else cell(row, make("span", "faint", "no key"));
  }
  const count = record.count > 1 ? [make("span", "faint", `× ${record.count}`)] : [];
  cell(row, make("code", `method ${methodClass(record.method)}`, record.method), make("code", "path", record.path), ...count);
  const told = [make("span", `outcome ${record.outcome}`, record.outcome.replaceAll("_", " "))];
  if (record.status) told.push(make("span", "faint", record.status));
  if (record.reason) told.push(make("span", "faint", record.reason));
  cell(row, ...told);
  cell(row, visible(record.address)).className = "wide faint";
  return row;
};

const ROWS_MAX = 50;
const show = (record) => {
  for (const place of document.querySelectorAll("[data-live=writes]")) {
    if (place.dataset.key && place.dataset.key !== record.key) continue;
    place.hidden = false;
    document.querySelector("[data-empty]")?.remove();
    const table = place.querySelector("table");
    const body = table.tBodies[0];
    const known = body.querySelector(`tr[data-id="${CSS.escape(record.id)}"]`);
    const row = drawn(record, table.dataset.ofKey === "true");
    if (known) known.replaceWith(row);
    else {
      row.classList.add("new");
      body.prepend(row);
    }
    while (body.rows.length > ROWS_MAX) body.rows[body.rows.length - 1].remove();
  }
};

if (document.querySelector("[data-live], [data-refresh]")) {
  const state = document.querySelector("[data-live-state]");
  const button = document.querySelector("[data-pause]");
  const held = [];
  let isPaused = false;
  const say = (text) => { if (state && !isPaused) state.textContent = text; };
  const source = new EventSource("/api/v1/events");
  source.addEventListener("open", () => say("live"));
  source.addEventListener("error", () => {
    // The browser tries again by itself, but not where it was refused.
    say(source.readyState === EventSource.CLOSED ? "no longer live: sign in again" : "connection lost, trying again");
  });
  source.addEventListener("hello", (event) => { skew = Date.parse(JSON.parse(event.data).now) - Date.now(); freshen(); });
  source.addEventListener("write", (event) => {
    const record = JSON.parse(event.data);
    if (!isPaused) {
      if (!document.hidden) refresh(FIGURES);
      return show(record);
    }
    held.push(record);
    if (held.length > ROWS_MAX) held.shift();
    state.textContent = `paused, ${held.length}${held.length >= ROWS_MAX ? " or more" : ""} new`;
  });
  source.addEventListener("skipped", (event) => say(`live; ${JSON.parse(event.data).writes} more were too many to show`));
  source.addEventListener("event", () => refresh(SOON));
  document.addEventListener("visibilitychange", () => { if (!document.hidden && !isPaused) refresh(SOON); });
  // The figures of the page grow old too.
  setInterval(() => { if (!document.hidden && !isPaused) refresh(SOON); }, 20_000);
  if (button) {
    button.hidden = false;
    button.addEventListener("click", () => {
      isPaused = !isPaused;
      button.setAttribute("aria-pressed", String(isPaused));
      button.textContent = isPaused ? "Go on" : "Pause";
      if (isPaused) state.textContent = "paused";
      else {
        held.splice(0).forEach(show);
        say("live");
      }
    });
  }
}
