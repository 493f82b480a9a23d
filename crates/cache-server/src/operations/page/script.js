"use strict";
// Keeps the page fresh. Without it the page is as of its loading.
const units = ["B", "KiB", "MiB", "GiB", "TiB"];
function bytes(count) {
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) {
    count /= 1024;
    unit += 1;
  }
  return (unit === 0 ? count : count.toFixed(1)) + " " + units[unit];
}
function show(id, text) {
  const element = document.getElementById(id);
  if (element.textContent !== text) element.textContent = text;
}
function live(isOn, text) {
  show("live", text);
  document.getElementById("live").className = isOn ? "on" : "off";
}
function cell(row, label, text) {
  const td = row.insertCell();
  td.dataset.label = label;
  td.textContent = text;
  return td;
}
// How long the rest takes at the pace so far.
function rest(file) {
  if (file.state !== "fetching") return ", " + file.state;
  if (file.seconds < 2 || file.bytes === 0) return "";
  const pace = file.bytes / file.seconds;
  const seconds = Math.ceil((file.bytes_total - file.bytes) / pace);
  const left = seconds < 60 ? `${seconds} s` : seconds < 3600 ? `${Math.ceil(seconds / 60)} min` : `${Math.ceil(seconds / 3600)} h`;
  return `, ${bytes(pace)}/s, ${left} left`;
}
function showFetching(files) {
  const body = document.getElementById("fetching");
  const rows = files.map((file) => {
    const row = document.createElement("tr");
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = file.model;
    row.append(name);
    cell(row, "File", file.file);
    const progress = document.createElement("progress");
    progress.max = Math.max(file.bytes_total, 1);
    progress.value = file.bytes;
    progress.setAttribute("aria-label", file.file);
    cell(row, "Progress", "").append(progress, ` ${bytes(file.bytes)} of ${bytes(file.bytes_total)}${rest(file)}`);
    return row;
  });
  if (rows.length === 0) {
    const row = document.createElement("tr");
    const td = row.insertCell();
    td.colSpan = 3;
    td.className = "quiet";
    td.textContent = "Nothing is being fetched.";
    rows.push(row);
  }
  body.replaceChildren(...rows);
}
// The parts that change seldom come from the server as it draws them.
async function redraw() {
  const answer = await fetch("/");
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const id of ["disks", "problems", "models"]) {
    const [old, now] = [document.getElementById(id), page.getElementById(id)];
    if (now && old.innerHTML !== now.innerHTML) old.replaceChildren(...now.childNodes);
  }
}
let drawn = null;
const events = new EventSource("/v1/events");
events.addEventListener("status", (event) => {
  const status = JSON.parse(event.data);
  live(true, "Live");
  show("hit-ratio", status.hit_ratio === null ? "–" : Math.round(status.hit_ratio * 100) + " %");
  show("from-cache", bytes(status.bytes_from_cache));
  show("from-hub", bytes(status.upstream_bytes));
  // The one that this page holds open is not worth telling.
  show("in-flight", String(Math.max(status.requests_in_flight - 1, 0)));
  showFetching(status.fetching);
  const seldom = JSON.stringify([status.fetching.map((file) => [file.model, file.file]), status.problems]);
  if (drawn !== null && drawn !== seldom) redraw().catch(() => {});
  drawn = seldom;
});
events.addEventListener("error", () => live(false, "Not connected: as of " + new Date().toLocaleTimeString()));
