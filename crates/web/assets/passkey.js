// Passkeys: asks the browser for one, and sends what it gives to the server.

const problem = (text) => {
  const place = document.querySelector("[data-passkey-problem]");
  place.textContent = text;
  place.hidden = false;
};

const post = async (path, body) => {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (answer.redirected) {
    location.href = answer.url;
    throw new Error("");
  }
  const said = await answer.json();
  if (said.problem) throw new Error(said.problem);
  return said;
};

const attempt = (button, work) => async () => {
  button.disabled = true;
  try {
    const said = await work();
    location.href = said.to;
  } catch (error) {
    const isGivenUp = error.name === "NotAllowedError" || error.name === "AbortError";
    const isKnown = error.name === "InvalidStateError";
    if (error.message) {
      problem(isGivenUp ? "No passkey was used." : isKnown ? "This device already has a passkey of yours." : error.message);
    }
    button.disabled = false;
  }
};

const canUse = window.PublicKeyCredential?.parseCreationOptionsFromJSON;

for (const button of document.querySelectorAll("[data-passkey]")) {
  button.hidden = !canUse;
  button.addEventListener("click", attempt(button, async () => {
    const { ceremony, options } = await post(button.dataset.begin, {});
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options.publicKey);
    const credential = await navigator.credentials.get({ publicKey });
    return post(button.dataset.passkey, { ceremony, credential: credential.toJSON(), next: button.dataset.next });
  }));
}

for (const button of document.querySelectorAll("[data-enrol]")) {
  button.hidden = !canUse;
  button.addEventListener("click", attempt(button, async () => {
    const form = button.closest("form");
    const name = form.elements.name;
    if (!name.reportValidity()) throw new Error("");
    const { ceremony, options } = await post(`${button.dataset.enrol}/begin`, { name: name.value });
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options.publicKey);
    const credential = await navigator.credentials.create({ publicKey });
    return post(button.dataset.enrol, { ceremony, credential: credential.toJSON(), name: form.elements.label?.value });
  }));
}
