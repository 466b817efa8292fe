// Compiles every contract of the folder argv[2] and prints {name: {abi, bytecode}} for those that can be deployed.
"use strict";

const fs = require("fs");
const path = require("path");
const solc = require(require.resolve("solc", { paths: [process.argv[3] || __dirname] }));

const folder = process.argv[2];
const sources = {};
for (const file of fs.readdirSync(folder).filter((name) => name.endsWith(".sol")).sort()) {
  sources[file] = { content: fs.readFileSync(path.join(folder, file), "utf8") };
}
const output = JSON.parse(
  solc.compile(
    JSON.stringify({
      language: "Solidity",
      sources,
      settings: {
        evmVersion: "shanghai",
        optimizer: { enabled: true, runs: 1 },
        // Nothing of the machine or the sources' comments in the code, so that the same sources give the same bytes.
        metadata: { bytecodeHash: "none", appendCBOR: false },
        outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
      },
    }),
  ),
);
const faults = (output.errors || []).filter((fault) => fault.severity === "error" || process.argv[4] === "--warnings");
if (faults.length > 0) {
  process.stderr.write(faults.map((fault) => fault.formattedMessage).join("\n"));
}
if (faults.some((fault) => fault.severity === "error")) {
  process.exit(1);
}
const contracts = {};
for (const file of Object.keys(output.contracts).sort()) {
  for (const [name, contract] of Object.entries(output.contracts[file])) {
    if (contract.evm.bytecode.object !== "" && name !== "SortedList") {
      contracts[name] = { abi: contract.abi, bytecode: contract.evm.bytecode.object };
      if (process.argv[4] === "--warnings") {
        process.stderr.write(`${name}: ${contract.evm.deployedBytecode.object.length / 2} bytes\n`);
      }
    }
  }
}
process.stdout.write(JSON.stringify(contracts));
