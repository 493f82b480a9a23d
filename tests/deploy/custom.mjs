// Holds custom resources to the types of the npm packages: their schemas, and their declarations, which know what the
// schemas let pass: a field that no version of the type has.
//   node custom.mjs TOOLS <objects.json        prints a JSON list of problems
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const modules = resolve(process.argv[2], "node_modules");
const { default: ts } = await import(pathToFileURL(resolve(modules, "typescript/lib/typescript.js")));
const PACKAGES = {
  "keda.sh": "@kubernetes-models/keda",
  "monitoring.coreos.com": "@kubernetes-models/prometheus-operator",
};

const problems = [];
const sources = new Map();
for (const thing of JSON.parse(readFileSync(0, "utf8"))) {
  const name = `${thing.kind}/${thing.metadata.name}`;
  const [group, version] = thing.apiVersion.split("/");
  const kit = PACKAGES[group];
  if (!kit) {
    problems.push(`${name}: there is no schema of ${thing.apiVersion}`);
    continue;
  }
  const path = `${kit}/${group}/${version}/${thing.kind}`;
  let kinds;
  try {
    kinds = await import(pathToFileURL(resolve(modules, `${path}.js`)));
  } catch (error) {
    problems.push(`${name}: ${kit} has no ${thing.apiVersion} ${thing.kind} (${error.code})`);
    continue;
  }
  try {
    new kinds[thing.kind](thing).validate();
  } catch (error) {
    problems.push(`${name}: ${error.message}`);
  }
  sources.set(
    resolve(modules, `../check-${sources.size}.mts`),
    { name, text: `import type { I${thing.kind} } from "${path}";\nexport const thing: I${thing.kind} = ${JSON.stringify(thing, null, 1)};\n` },
  );
}

if (sources.size > 0) {
  const options = { noEmit: true, strict: true, skipLibCheck: true, types: [], module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext, target: ts.ScriptTarget.ES2022 };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.fileExists = (file) => sources.has(file) || fileExists(file);
  host.readFile = (file) => sources.get(file)?.text ?? readFile(file);
  host.getSourceFile = (file, ...rest) =>
    sources.has(file) ? ts.createSourceFile(file, sources.get(file).text, rest[0]) : getSourceFile(file, ...rest);
  const program = ts.createProgram([...sources.keys()], options, host);
  for (const diagnostic of ts.getPreEmitDiagnostics(program)) {
    const name = sources.get(diagnostic.file?.fileName)?.name ?? "types";
    problems.push(`${name}: ${ts.flattenDiagnosticMessageText(diagnostic.messageText, " ")}`);
  }
}
console.log(JSON.stringify(problems));
