// Signs what a form says, in this browser. The statement is made here from the fields that are shown, in the form of
// RFC 8785: names in order, text as JSON.stringify writes it. The key is a CryptoKey that cannot be read out.
const STORE = "keys";

function database() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("switchyard-console", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
async function inStore(mode, act) {
  const open = await database();
  return new Promise((resolve, reject) => {
    const request = act(open.transaction(STORE, mode).objectStore(STORE));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
const user = document.documentElement.dataset.user;
const readKey = () => inStore("readonly", (store) => store.get(user));
const keepKey = (key) => inStore("readwrite", (store) => store.put(key, user));
const dropKey = () => inStore("readwrite", (store) => store.delete(user));

const PKCS8 = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
async function importKey(text) {
  const hex = text.trim().toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(hex)) throw new Error("The key is invalid: expected 64 hex digits, as SWITCHYARD_OPERATOR_KEY has them.");
  const bytes = Uint8Array.from([...PKCS8, ...hex.match(/../g).map((two) => parseInt(two, 16))]);
  return crypto.subtle.importKey("pkcs8", bytes, { name: "Ed25519" }, false, ["sign"]);
}
function statement(purpose, fields) {
  const all = { purpose, ...fields };
  return "{" + Object.keys(all).sort().map((name) => JSON.stringify(name) + ":" + JSON.stringify(all[name])).join(",") + "}";
}
async function sign(key, text) {
  const bytes = new Uint8Array(await crypto.subtle.sign("Ed25519", key, new TextEncoder().encode(text)));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
// The stack's clock, which a drill may have moved, is the server's; microseconds as every event has them.
const offset = Date.parse(document.documentElement.dataset.now) - Date.now();
const now = () => new Date(Date.now() + offset).toISOString().replace("Z", "000Z");

function explain(form, text) {
  const place = form.querySelector("[data-sign-error]");
  place.textContent = text;
  place.hidden = !text;
}
async function submit(form, submitter) {
  const key = await readKey();
  if (!key) return explain(form, "This browser has no signing key of yours: see Signing key.");
  const value = (name) => (form.elements.namedItem(name)?.value ?? "").trim();
  const signedAt = now();
  if (submitter?.name) {
    let chosen = form.querySelector("input[data-chosen]");
    if (!chosen) { chosen = document.createElement("input"); chosen.type = "hidden"; chosen.dataset.chosen = ""; form.append(chosen); }
    chosen.name = submitter.name;
    chosen.value = submitter.value;
  }
  const reason = value("reason");
  if (!reason) return explain(form, "Write a reason: it is stored with the signature.");
  // What is signed is what is sent: without blanks around it.
  form.elements.namedItem("reason").value = reason;
  form.elements.namedItem("signed_at").value = signedAt;
  if (form.dataset.sign === "command") {
    form.elements.namedItem("signature").value = await sign(key, statement("switchyard/command/1", {
      command_id: value("command_id"), action: submitter.value, target: value("target"), operator: user, reason, signed_at: signedAt,
    }));
  } else if (form.dataset.sign === "approval") {
    form.elements.namedItem("signature").value = await sign(key, statement("switchyard/approval/1", {
      approval_id: form.dataset.approval, case_id: form.dataset.case, content_sha256: form.dataset.content, pack: form.dataset.pack,
      verdict: submitter.value, approver: user, reason, signed_at: signedAt,
    }));
  } else if (form.dataset.sign === "cancel") {
    for (const row of form.querySelectorAll("[data-cancel]")) {
      row.querySelector("input[name=signature]").value = await sign(key, statement("switchyard/command/1", {
        command_id: row.dataset.command, action: "cancel", target: row.dataset.cancel, operator: user, reason, signed_at: signedAt,
      }));
    }
  } else if (form.dataset.sign === "resolution") {
    const id = submitter.value === "yes" ? value("provider_message_id") : "";
    if (submitter.value === "yes" && !id) return explain(form, "Write the provider's id of what was sent.");
    form.elements.namedItem("provider_message_id").value = id;
    form.elements.namedItem("signature").value = await sign(key, statement("switchyard/resolution/1", {
      resolution_id: value("resolution_id"), case_id: value("case_id"), content_sha256: value("content_sha256"),
      provider_message_id: id, operator: user, evidence: reason, signed_at: signedAt,
    }));
  } else {
    for (const row of form.querySelectorAll("[data-retry]")) {
      row.querySelector("input[name=signature]").value = await sign(key, statement("switchyard/retry/1", {
        case_id: row.dataset.retry, failed: row.dataset.failed, command: row.dataset.command, closed: row.dataset.closed,
        operator: user, reason, requested_at: signedAt,
      }));
    }
  }
  HTMLFormElement.prototype.submit.call(form);
}
for (const note of document.querySelectorAll("[data-without-script]")) note.hidden = true;
for (const form of document.querySelectorAll("form[data-sign]")) {
  for (const button of form.querySelectorAll("button[disabled]")) button.disabled = false;
  // Enter in a field would press the form's first button, which may be the one that grants.
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.tagName === "INPUT") event.preventDefault();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit(form, event.submitter).catch((error) => explain(form, String(error.message || error)));
  });
}
const keyForm = document.getElementById("key-form");
if (keyForm) {
  const shown = document.getElementById("key-state");
  const refresh = async () => {
    const has = Boolean(await readKey());
    shown.textContent = has ? "This browser has a key for " + user + "." : "This browser has no key for " + user + ".";
    document.getElementById("key-drop").hidden = !has;
  };
  keyForm.addEventListener("submit", async (event) => {
    event.preventDefault();
    const field = document.getElementById("key-text");
    try {
      await keepKey(await importKey(field.value));
      explain(keyForm, "");
    } catch (error) {
      explain(keyForm, String(error.message || error));
    }
    field.value = "";
    await refresh();
  });
  document.getElementById("key-drop").addEventListener("click", async () => { await dropKey(); await refresh(); });
  refresh().catch((error) => explain(keyForm, String(error.message || error)));
}
