import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { PDK } from "../src/gen/pdk.js";
import { definePlugin, type Handlers, type InstanceClass } from "../src/plugin.js";
import { loadPlugins } from "../src/runtime/loader.js";
import { SDK_VERSION } from "../src/version.js";

class Access {
  access(): void {}
}

const BASE = { name: "p", version: "1", instance: Access };

test("a definition gets its defaults and its phases from the prototype", () => {
  class All extends Access {
    rewrite(): void {}
    async log(): Promise<void> {}
    headerFilter(): void {}
  }
  const plugin = definePlugin({ ...BASE, instance: All });
  assert.deepEqual(
    [plugin.priority, plugin.authenticates, plugin.needs, plugin.phases],
    [0, false, [], ["rewrite", "access", "header_filter", "log"]],
  );
  assert.deepEqual(plugin.schema, { type: "object", properties: {}, additionalProperties: false });
  assert.ok(Object.isFrozen(plugin));
});

test("the configuration has its type in class and definition", () => {
  interface Config {
    readonly greeting: string;
  }
  class Hello implements Handlers {
    constructor(readonly config: Config) {}
    access(kong: PDK): void {
      const greeting: string = this.config.greeting;
      kong.response.setHeader("x", greeting);
      // @ts-expect-error a header is no function
      kong.response.setHeader("x", () => 1);
      // @ts-expect-error the result may be null
      kong.request.getHeader("x").length;
      // @ts-expect-error there is no such field
      this.config.nope;
    }
  }
  assert.equal(definePlugin<Config>({ ...BASE, instance: Hello }).name, "p");
  // @ts-expect-error the class wants another configuration
  const wrong: InstanceClass<{ other: number }> = Hello;
  assert.equal(wrong, Hello);
});

test("what is wrong with a definition is said with found and expected", () => {
  class Nothing {}
  class NoMethod {}
  Object.defineProperty(NoMethod.prototype, "access", { value: 5 });
  const cases: [unknown, RegExp][] = [
    [5, /plugin: found 5; expected the definition of a plugin/],
    [{ ...BASE, name: "Bad Name" }, /plugin "Bad Name": found name "Bad Name"; expected lower-case/],
    [{ ...BASE, name: undefined }, /plugin: found name nothing/],
    [{ ...BASE, version: 1 }, /plugin "p": found version 1; expected text/],
    [{ ...BASE, priority: 1.5 }, /found priority 1\.5; expected an integer/],
    [{ ...BASE, authenticates: "yes" }, /found authenticates "yes"; expected true or false/],
    [{ ...BASE, needs: ["body"] }, /found needs \["body"\]; expected an array of request_body, response_body/],
    [{ ...BASE, schema: 5 }, /found schema 5; expected a JSON Schema object/],
    [{ ...BASE, instance: { access() {} } }, /found instance .*; expected a class/],
    [{ ...BASE, instance: () => {} }, /found instance function .*; expected a class/],
    [
      { ...BASE, instance: Nothing },
      /found class Nothing without a handler; expected one of the methods rewrite, access/,
    ],
    [{ ...BASE, instance: NoMethod }, /found access 5; expected a method/],
  ];
  for (const [definition, message] of cases) {
    assert.throws(() => definePlugin(definition as typeof BASE), { name: "PluginError", code: "bad_plugin", message });
  }
});

const SDK = JSON.stringify(new URL("../src/index.js", import.meta.url).href);
const DEFINE = `import { definePlugin } from ${SDK};\nclass A { access() {} }\nconst make = (name) => definePlugin({ name, version: "1", instance: A });\n`;

/** Writes plugin modules; answers their paths. */
function modules(t: TestContext, files: Record<string, string>): (name: string) => string {
  const dir = mkdtempSync(join(tmpdir(), "orjs-"));
  t.after(() => rmSync(dir, { recursive: true }));
  writeFileSync(join(dir, "package.json"), '{"type": "module"}');
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(dir, name, ".."), { recursive: true });
    writeFileSync(join(dir, name), text);
  }
  return (name) => join(dir, name);
}

test("modules export a plugin, several, or a plain definition", async (t) => {
  const at = modules(t, {
    "one.js": `${DEFINE}export default make("one");`,
    "list.js": `${DEFINE}export default [make("two"), make("three")];`,
    "named.js": `${DEFINE}export const plugins = [make("four")];`,
    "plain.js": `export default { name: "five", version: "1", instance: class { log() {} } };`,
    "dir/package.json": '{"type": "module", "main": "main.js"}',
    "dir/main.js": `${DEFINE}export default make("six");`,
  });
  const plugins = await loadPlugins(["one.js", "list.js", "named.js", "plain.js", "dir"].map(at));
  assert.deepEqual(
    plugins.map(({ name }) => name),
    ["one", "two", "three", "four", "five", "six"],
  );
});

test("what is wrong with a module is said with file, found and expected", async (t) => {
  const at = modules(t, {
    "empty.js": "",
    "other.js": "export const hello = 1;",
    "number.js": "export default 5;",
    "none.js": "export default [];",
    "bad.js": 'export default { name: "x", version: "1", instance: class {} };',
    "throws.js": 'throw new Error("at import");',
    "syntax.js": "export default {",
    "imports.js": 'import "./lib/broken.js";\nexport default 1;',
    "lib/broken.js": "const a = 1;\nconst b = ;\n",
    "names.js": 'import { nothing } from "./other.js";\nexport default nothing;',
    "a.js": `${DEFINE}export default make("same");`,
    "b.js": `${DEFINE}export default make("same");`,
    "typed.ts": "export default 1;",
    "dir/readme": "",
    "torn/package.json": '{"main": ',
  });
  const cases: [string[], RegExp][] = [
    [["missing.js"], /missing\.js: found no such file; expected a plugin module/],
    [["empty.js"], /empty\.js: found no exports; expected `export default definePlugin/],
    [["other.js"], /other\.js: found exports hello; expected/],
    [["number.js"], /number\.js: found 5; expected/],
    [["none.js"], /none\.js: found an empty array/],
    [["bad.js"], /bad\.js: plugin "x": found class .* without a handler; expected one of the methods/],
    [
      ["throws.js"],
      /throws\.js: importing the module failed: Error: at import\n[\s\S]*\n.*throws\.js: Error: at import$/,
    ],
    [["syntax.js"], /syntax\.js: importing the module failed: file:.*syntax\.js:1\n[\s\S]*SyntaxError: /],
    [
      ["imports.js"],
      /imports\.js: importing the module failed: file:.*lib\/broken\.js:2\nconst b = ;\n +\^\nSyntaxError: [\s\S]*\n.*imports\.js: SyntaxError: .* at file:.*broken\.js:2$/,
    ],
    [["names.js"], /names\.js: importing the module failed: file:.*names\.js:1\n[\s\S]*SyntaxError: .*'nothing'/],
    [["a.js", "b.js"], /b\.js: plugin "same" is also in .*a\.js; expected each name once/],
    [["typed.ts"], /typed\.ts: found a TypeScript file/],
    [["dir"], /dir: found a directory without index\.js/],
    [["torn"], /torn\/package\.json: found no JSON: /],
  ];
  for (const [names, message] of cases)
    await assert.rejects(loadPlugins(names.map(at)), { code: "bad_plugin", message });
});

test("the version is that of package.json, and every export of it exists", () => {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  assert.equal(SDK_VERSION, manifest.version);
  for (const entry of Object.values<string | Record<string, string>>(manifest.exports)) {
    for (const file of typeof entry === "string" ? [entry] : Object.values(entry)) readFileSync(join(root, file));
  }
});
