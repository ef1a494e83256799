/**
 * Session documents: what `StartSession` may ask for, and the properties it becomes.
 *
 * Port forwarding documents, whose sessions carry a multiplexer, are not among them.
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

const PORT = /^([1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5])$/;

const startSshSession: SessionDocument = {
  name: "AWS-StartSSHSession",
  resolve(parameters) {
    for (const name of Object.keys(parameters)) {
      if (name !== "portNumber") {
        return `Parameter "${name}" is not defined in the document`;
      }
    }
    const values = parameters.portNumber ?? ["22"];
    if (values.length !== 1 || !PORT.test(values[0]!)) {
      return `Parameter "portNumber" has value "${values.join(",")}" not matching "${PORT.source}"`;
    }
    return { properties: { portNumber: values[0]! } };
  },
};

const DOCUMENTS: readonly SessionDocument[] = [startSshSession];

/** The document of a name. */
export function findDocument(name: string): SessionDocument | undefined {
  return DOCUMENTS.find((document) => document.name === name);
}
