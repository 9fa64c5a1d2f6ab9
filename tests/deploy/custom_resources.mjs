// Validates custom resources against the schemas of npm's @kubernetes-models: objects as JSON on standard input. It runs
// in the folder where those packages are installed.
import { readFileSync } from "node:fs";

const PACKAGES = {
  "cert-manager.io": "cert-manager",
  "gateway.networking.k8s.io": "gateway-api",
  "keda.sh": "keda",
  "monitoring.coreos.com": "prometheus-operator",
};

async function model(group, version, kind) {
  try {
    return (await import(`@kubernetes-models/${PACKAGES[group]}/${group}/${version}/${kind}`))[kind];
  } catch (error) {
    if (["ERR_MODULE_NOT_FOUND", "ERR_PACKAGE_PATH_NOT_EXPORTED"].includes(error.code)) return undefined;
    throw error;
  }
}

const failed = [];
const missing = new Set();
let validated = 0;
for (const { apiVersion, ...object } of JSON.parse(readFileSync(0, "utf8"))) {
  const [group, version] = apiVersion.split("/");
  // the package has GRPCRoute under an earlier version alone
  const Model = (await model(group, version, object.kind)) ?? (await model(group, "v1alpha2", object.kind));
  if (!Model) {
    missing.add(`${apiVersion} ${object.kind}`);
    continue;
  }
  try {
    new Model(object).validate();
    validated += 1;
  } catch (error) {
    failed.push(`${object.kind}/${object.metadata.name}: ${error.message}`);
  }
}
console.log(`${validated} custom resources are valid; no schema for: ${[...missing].join(", ") || "none"}`);
for (const line of failed) console.log(line);
process.exit(failed.length ? 1 : 0);
