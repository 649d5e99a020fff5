// The live tail: server-sent events, resumed by the browser with Last-Event-ID. Text is set as text, never as markup.
const list = document.getElementById("entries");
const state = document.getElementById("tail-state");
const wanted = document.getElementById("tail-filter");
const pause = document.getElementById("tail-pause");
const MOST = 500;
const every = list.hasAttribute("data-every"); // of some tenants, entries have gaps between them
let last = Number(list.dataset.cursor);
let paused = false;

function say(text, kind) {
  state.textContent = text;
  state.className = "badge " + kind;
}
function cell(row, text, kind) {
  const made = row.insertCell();
  if (kind) made.className = kind;
  made.textContent = text;
  return made;
}
function note(text) {
  const row = list.insertRow(0);
  const made = cell(row, text);
  made.colSpan = 6;
  made.className = "warn";
}
function matches(row) {
  return !wanted.value || row.textContent.toLowerCase().includes(wanted.value.toLowerCase());
}
function show(entry) {
  const row = list.insertRow(0);
  cell(row, entry.log_index, "n");
  cell(row, entry.at.slice(11, 23));
  const link = document.createElement("a");
  link.href = "/cases/" + encodeURIComponent(entry.case_id) + "#" + encodeURIComponent(entry.event_id);
  link.textContent = entry.case_id.slice(0, 8);
  row.insertCell().append(link);
  cell(row, entry.node_from + " → " + entry.node_to);
  cell(row, entry.transition + (entry.outcome ? " · " + entry.outcome : ""));
  cell(row, entry.tenant);
  row.hidden = !matches(row);
  while (list.rows.length > MOST) list.deleteRow(-1);
}
const source = new EventSource("/tail/events?after=" + last);
source.addEventListener("hello", () => say("live", "ok"));
source.addEventListener("back", () => say("live", "ok"));
source.addEventListener("away", (event) => say("the log cannot be read: " + JSON.parse(event.data).message, "broken"));
for (const name of ["full", "ended"]) {
  source.addEventListener(name, (event) => { say(JSON.parse(event.data).message, "broken"); source.close(); });
}
source.addEventListener("lost", (event) => {
  const { missed, until } = JSON.parse(event.data);
  note(missed === null ? "another log: it begins again" : missed + " entries were not shown, up to " + until);
  last = until;
});
source.addEventListener("entry", (event) => {
  const entry = JSON.parse(event.data);
  if (every && entry.log_index > last + 1) note((entry.log_index - last - 1) + " entries are missing before " + entry.log_index);
  last = entry.log_index;
  if (!paused) show(entry);
});
source.onerror = () => say("connection lost; trying again from entry " + last, "warn");
wanted.addEventListener("input", () => { for (const row of list.rows) row.hidden = !matches(row); });
pause.addEventListener("click", () => {
  paused = !paused;
  pause.textContent = paused ? "Go on" : "Pause";
  if (!paused) note("paused until now: what passed is in the list of cases");
});
