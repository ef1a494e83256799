/**
 * The doors of the architecture as data and as a check: which room may import which.
 *
 * @module
 */

/** Rooms from the top of the house to its ground; imports only go down. */
export const FLOORS: readonly (readonly string[])[] = [
  ["cli"],
  ["sandbox", "proxy"],
  ["guest"],
  ["backend", "vm", "exec"],
  ["ssh", "ssm", "protocol", "ec2", "vsock"],
  ["smux", "aws", "credentials", "routing", "config"],
  ["core"],
];

/** Rooms that may open `ffi/`, and only by a dynamic import. */
const FFI_ROOMS: ReadonlySet<string> = new Set(["vsock", "vm", "guest"]);

/** Files of `ssm` that the sandbox may use: codecs, no client logic. */
const SANDBOX_SSM: ReadonlySet<string> = new Set([
  "lib/ssm/constants.ts",
  "lib/ssm/message.ts",
  "lib/ssm/payloads.ts",
  "lib/ssm/version.ts",
]);

/** What only one room may do, and where. */
const RESERVED: readonly {
  readonly what: RegExp;
  readonly name: string;
  readonly rooms: RegExp;
}[] = [
  { what: /\bDeno\.exit\(/, name: "Deno.exit", rooms: /^(lib\/cli|main\.ts|agent\.ts|scripts)\b/ },
  {
    what: /\bDeno\.(dlopen|UnsafePointer|UnsafeCallback|UnsafeFnPointer)\b/,
    name: "FFI",
    rooms: /^(ffi|scripts)\b/,
  },
  {
    what: /(?<![.#\w])console\.(log|error|warn|info|debug|trace)\(/,
    name: "console",
    rooms: /^(scripts|tests)\b/,
  },
];

/** Longest file that needs no reason. */
const MAX_LINES = 400;

/** Files that are longer, each with its reason. */
const LONG_FILES: Readonly<Record<string, string>> = {
  "lib/config/keys.ts": "one table, which its readers want in one place",
};

/** An import found in a file. */
export interface Import {
  /** Path from the root of the tree. */
  readonly target: string;
  readonly dynamic: boolean;
  readonly typeOnly: boolean;
}

function floorOf(room: string): number {
  return FLOORS.findIndex((rooms) => rooms.includes(room));
}

/** The room of a path: `lib/ssm/x.ts` → `ssm`; `ffi` for `ffi/`; undefined for anything else. */
export function roomOf(path: string): string | undefined {
  if (path.startsWith("ffi/")) return "ffi";
  return /^lib\/([^/]+)\//.exec(path)?.[1];
}

/** Resolves a relative specifier against the file that has it. */
function resolve(from: string, specifier: string): string {
  return new URL(specifier, `file:///${from}`).pathname.slice(1);
}

/** Takes comments out, so that examples in docstrings do not count. */
function withoutComments(source: string): string {
  return source.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/^\s*\/\/.*$/gm, "");
}

/** Relative imports of a file. */
export function importsOf(path: string, source: string): Import[] {
  const code = withoutComments(source);
  const found: Import[] = [];
  const statics =
    /^\s*(?:import|export)\s+(type\s+)?(?:[\w*{}\s,$]+?\s+from\s+)?["'](\.[^"']+)["']/gm;
  for (const [, type, specifier] of code.matchAll(statics)) {
    found.push({ target: resolve(path, specifier!), dynamic: false, typeOnly: Boolean(type) });
  }
  for (const [, specifier] of code.matchAll(/\bimport\(\s*["'](\.[^"']+)["']\s*\)/g)) {
    found.push({ target: resolve(path, specifier!), dynamic: true, typeOnly: false });
  }
  return found;
}

function checkImport(path: string, { target, dynamic, typeOnly }: Import): string | undefined {
  const from = roomOf(path);
  const to = roomOf(target);
  if (path === "main.ts" || path === "agent.ts") {
    return to === "cli" || to === "guest" || to === "exec"
      ? undefined
      : `may only open lib/cli, lib/guest or lib/exec, not ${target}`;
  }
  if (from === undefined || from === to) return undefined;
  if (from === "ffi") return `ffi/ imports nothing of the rest, not ${target}`;
  if (to === undefined) return `may not import ${target}`;
  if (to === "ffi") {
    if (!FFI_ROOMS.has(from)) return `${from} may not open ffi/`;
    return dynamic || typeOnly ? undefined : `${target} must be imported when used, not at start`;
  }
  if (floorOf(from) < 0) return `${from} is not a room of the architecture`;
  if (floorOf(to) < 0) return `${to} is not a room of the architecture`;
  if (floorOf(to) <= floorOf(from)) return `${from} may not import ${to} (${target})`;
  if (from === "sandbox" && to === "ssm" && !SANDBOX_SSM.has(target)) {
    return `sandbox may use the codecs of ssm only, not ${target}`;
  }
  return undefined;
}

/**
 * Checks a tree.
 * @param files path from the root → source, for `main.ts`, `agent.ts`, `lib/` and `ffi/`
 * @returns one line per fault, sorted
 */
export function checkDoors(files: ReadonlyMap<string, string>): string[] {
  const faults: string[] = [];
  for (const [path, source] of files) {
    for (const found of importsOf(path, source)) {
      const fault = checkImport(path, found);
      if (fault) faults.push(`${path}: ${fault}`);
    }
    const code = withoutComments(source);
    for (const { what, name, rooms } of RESERVED) {
      if (what.test(code) && !rooms.test(path)) faults.push(`${path}: ${name} is not used here`);
    }
    const lines = source.split("\n").length - 1;
    if (lines > MAX_LINES && !(path in LONG_FILES)) {
      faults.push(`${path}: ${lines} lines, more than ${MAX_LINES} without a reason`);
    }
  }
  return faults.sort();
}
