"use strict";
// Keeps the numbers and the downloads fresh. Without it the page is as of its loading.
const units = ["B", "KiB", "MiB", "GiB", "TiB"];
function bytes(count) {
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) {
    count /= 1024;
    unit += 1;
  }
  return (unit === 0 ? count : count.toFixed(1)) + " " + units[unit];
}
function cell(row, text) {
  const td = row.insertCell();
  td.textContent = text;
  return td;
}
function show(id, text) {
  document.getElementById(id).textContent = text;
}
let wasFetching = document.querySelectorAll("#fetching progress").length;
new EventSource("/v1/events").addEventListener("status", (event) => {
  const status = JSON.parse(event.data);
  show("hit-ratio", status.hit_ratio === null ? "–" : Math.round(status.hit_ratio * 100) + " %");
  show("from-cache", bytes(status.bytes_from_cache));
  show("from-hub", bytes(status.upstream_bytes));
  show("in-flight", status.requests_in_flight);
  const body = document.getElementById("fetching");
  body.replaceChildren();
  for (const file of status.fetching) {
    const row = body.insertRow();
    cell(row, file.model);
    cell(row, file.file);
    const progress = document.createElement("progress");
    progress.max = Math.max(file.bytes_total, 1);
    progress.value = file.bytes;
    const td = cell(row, "");
    td.append(progress, ` ${bytes(file.bytes)} of ${bytes(file.bytes_total)} (${file.state})`);
  }
  if (status.fetching.length === 0) {
    const td = cell(body.insertRow(), "Nothing is being fetched.");
    td.colSpan = 3;
    td.className = "quiet";
    // What has arrived belongs into the table of what is here.
    if (wasFetching > 0) location.reload();
  }
  wasFetching = status.fetching.length;
});
