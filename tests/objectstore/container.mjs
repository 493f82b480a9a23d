// Makes a container in an Azure Blob server: node container.mjs ENDPOINT ACCOUNT KEY NAME
//
// Source: "Authorize with Shared Key" of the Azure Storage REST API reference.
import { createHmac } from "node:crypto";

const [endpoint, account, key, name] = process.argv.slice(2);
const url = new URL(`${endpoint}/${name}?restype=container`);
const date = new Date().toUTCString();
const version = "2023-11-03";
const headers = `x-ms-date:${date}\nx-ms-version:${version}\n`;
// The verb, eleven standard headers of which none is sent, our headers, and what is asked for.
const signed = `PUT\n${"\n".repeat(11)}${headers}/${account}${url.pathname}\nrestype:container`;
const signature = createHmac("sha256", Buffer.from(key, "base64")).update(signed, "utf8").digest("base64");
const answer = await fetch(url, {
  method: "PUT",
  headers: { "x-ms-date": date, "x-ms-version": version, authorization: `SharedKey ${account}:${signature}` },
});
if (answer.status !== 201) {
  console.error(answer.status, await answer.text());
  process.exit(1);
}
