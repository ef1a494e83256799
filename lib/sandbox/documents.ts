/**
 * Session documents: what `StartSession` may ask for, and the properties it becomes.
 *
 * @module
 */

/** Parameters of `StartSession`: each value is a list. */
export type DocumentParameters = Readonly<Record<string, readonly string[]>>;

/** A session document. */
export interface SessionDocument {
  readonly name: string;
  /** Properties that the agent hands to the client, or what is wrong with the parameters. */
  resolve(parameters: DocumentParameters): { readonly properties: Record<string, string> } | string;
}

/** A parameter of a document. */
interface Parameter {
  readonly pattern: RegExp;
  /** Absent for one that must be given. */
  readonly default?: string;
}

const PORT = /^([1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5])$/;
const LOCAL_PORT = /^(\d{1,4}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5])$/;
const HOST = /^[^\s,$^&()!;'"<>`{}[\]|#=]+$/;

function document(
  name: string,
  parameters: Readonly<Record<string, Parameter>>,
  fixed: Readonly<Record<string, string>> = {},
): SessionDocument {
  return {
    name,
    resolve(given) {
      for (const key of Object.keys(given)) {
        if (!(key in parameters)) return `Parameter "${key}" is not defined in the document`;
      }
      const properties: Record<string, string> = { ...fixed };
      for (const [key, parameter] of Object.entries(parameters)) {
        const values = given[key] ?? (parameter.default === undefined ? [] : [parameter.default]);
        if (values.length !== 1 || !parameter.pattern.test(values[0]!)) {
          const { source } = parameter.pattern;
          return `Parameter "${key}" has value "${values.join(",")}" not matching "${source}"`;
        }
        properties[key] = values[0]!;
      }
      return { properties };
    },
  };
}

/** What makes the agent multiplex: `AWS-StartSSHSession` has no `type`. */
const LOCAL_PORT_FORWARDING = { type: "LocalPortForwarding" };

const DOCUMENTS: readonly SessionDocument[] = [
  document("AWS-StartSSHSession", { portNumber: { pattern: PORT, default: "22" } }),
  document("AWS-StartPortForwardingSession", {
    portNumber: { pattern: PORT, default: "80" },
    localPortNumber: { pattern: LOCAL_PORT, default: "0" },
  }, LOCAL_PORT_FORWARDING),
  document("AWS-StartPortForwardingSessionToRemoteHost", {
    host: { pattern: HOST },
    portNumber: { pattern: PORT, default: "80" },
    localPortNumber: { pattern: LOCAL_PORT, default: "0" },
  }, LOCAL_PORT_FORWARDING),
];

/** The document of a name. */
export function findDocument(name: string): SessionDocument | undefined {
  return DOCUMENTS.find((document) => document.name === name);
}
