/**
 * Puts the sandbox together: API, gateway, instances, private network.
 *
 * @module
 */

import { userInfo } from "node:os";
import { join } from "node:path";
import { AwsocksError, type Credentials, DenoConn, getLog, systemClock } from "../core/mod.ts";
import { ApiServer } from "./api/server.ts";
import { EventHub, type SandboxEvent } from "./events.ts";
import { Fleet, type Instance } from "./fleet.ts";
import { GatewayServer } from "./gateway/server.ts";
import { Identities } from "./identities.ts";
import type { Sandbox } from "./interface.ts";
import { generateKeyPair } from "./instance/keys.ts";
import { Machine } from "./instance/machine.ts";
import {
  type CutMode,
  DEFAULT_INSTANCES,
  DEFAULT_SWITCHES,
  type InstanceSpec,
  type SandboxOptions,
  type Switches,
} from "./options.ts";
import { Random } from "./random.ts";
import { reportOf, type SessionReport, Sessions } from "./sessions.ts";
import { PrivateNetwork, type TcpService } from "./vpc/network.ts";
import { chargen, discard, echo, ServicePort } from "./vpc/services.ts";
import { Site } from "./vpc/site.ts";

/** Address of the web site inside the VPC. */
export const PRIVATE_URL = "http://hello.sandbox.internal/";

const HTTP_PORTS = [80, 8080] as const;
const DEFAULT_AGENT_VERSION = "3.3.1142.0";
const DEFAULT_REGION = "eu-central-1";
const DEFAULT_USER = "ec2-user";
/** What Linux waits for a SYN to be answered: six repetitions, 127 s in all. */
const DEFAULT_CONNECT_TIMEOUT_MS = 127_000;

/**
 * Starts a sandbox.
 * @throws AwsocksError `usage` for options that make no sense, `listen-failed` when the port is taken
 */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const sandbox = new RunningSandbox(options);
  try {
    await sandbox.open();
  } catch (error) {
    await sandbox.close();
    throw error;
  }
  return sandbox;
}

class RunningSandbox implements Sandbox {
  readonly region: string;
  readonly sshUser: string;
  readonly #options: SandboxOptions;
  readonly #events: EventHub;
  readonly #identities: Identities;
  readonly #fleet: Fleet;
  readonly #sessions: Sessions;
  readonly #gateway: GatewayServer;
  readonly #api: ApiServer;
  readonly #site: Site;
  readonly #network: PrivateNetwork;
  readonly #machines = new Map<string, Machine>();
  readonly #sshd: { readonly hostname: string; readonly port: number } | undefined;
  #switches: Switches;
  #authorizedKeys: readonly string[] = [];
  #endpoint = "";
  #directory: string | undefined;
  #siteListener: Deno.TcpListener | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: SandboxOptions) {
    const clock = options.clock ?? systemClock;
    const random = new Random(options.seed);
    const events = new EventHub(clock);
    const switches = () => this.#switches;
    this.#options = options;
    this.#events = events;
    this.#switches = { ...DEFAULT_SWITCHES, ...options.switches };
    this.#sshd = options.sshd === undefined ? undefined : parseHostPort(options.sshd);
    this.region = options.region ?? DEFAULT_REGION;
    this.sshUser = options.sshUser ?? (this.#sshd ? userInfo().username : DEFAULT_USER);
    this.#identities = new Identities({ clock, random, credentials: options.credentials });
    this.#fleet = new Fleet({
      clock,
      random,
      events,
      specs: checkedInstances(options),
      transitionTime: options.transitionTime ?? 1000,
      agentStartTime: options.agentStartTime ?? 1000,
      onAgentLost: (instanceId) => this.#sessions.agentLost(instanceId),
    });
    const agentVersion = options.agentVersion ?? DEFAULT_AGENT_VERSION;
    this.#sessions = new Sessions({
      clock,
      random,
      events,
      switches,
      agentVersion,
      machine: (instanceId) => this.#machine(instanceId),
    });
    this.#gateway = new GatewayServer({
      clock,
      region: this.region,
      identities: this.#identities,
      switches,
      session: (sessionId) => this.#sessions.get(sessionId),
    });
    this.#api = new ApiServer({
      clock,
      random,
      events,
      switches,
      agentVersion,
      region: this.region,
      fleet: this.#fleet,
      sessions: this.#sessions,
      identities: this.#identities,
      deny: options.deny ?? [],
      pushKey: (instanceId, user, publicKey) => this.#machine(instanceId).pushKey(user, publicKey),
      mfaCode: options.mfaCode ?? "123456",
    });
    this.#site = new Site({ clock, events });
    this.#network = new PrivateNetwork({
      clock,
      connectTimeout: options.connectTimeout ?? DEFAULT_CONNECT_TIMEOUT_MS,
      services: this.#services(),
    });
  }

  async open(): Promise<void> {
    const { authorizedKeys = [], port = 0 } = this.#options;
    if (this.#options.sshKey) this.#authorizedKeys = authorizedKeys;
    else this.#authorizedKeys = [await this.#makeKey(), ...authorizedKeys];
    if (this.#sshd) this.#exposeSite();
    this.#sessions.origin = await this.#gateway.listen();
    try {
      this.#endpoint = this.#api.listen(port);
    } catch (cause) {
      throw new AwsocksError("listen-failed", `Listening on 127.0.0.1:${port} failed`, { cause });
    }
    getLog("sandbox").debug("Sandbox is up", { endpoint: this.#endpoint });
  }

  get endpoint(): string {
    return this.#endpoint;
  }

  get gateway(): string {
    return this.#sessions.origin;
  }

  get credentials(): Credentials {
    return this.#identities.user.credentials;
  }

  get env(): Readonly<Record<string, string>> {
    const { accessKeyId, secretAccessKey, sessionToken } = this.credentials;
    return {
      AWS_ENDPOINT_URL: this.#endpoint,
      AWS_REGION: this.region,
      AWS_DEFAULT_REGION: this.region,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      ...(sessionToken ? { AWS_SESSION_TOKEN: sessionToken } : {}),
    };
  }

  get instanceId(): string {
    return this.#fleet.list()[0]!.instanceId;
  }

  get name(): string {
    return this.#fleet.list()[0]!.name;
  }

  get sshKeyPath(): string {
    return this.#options.sshKey ?? join(this.#directory ?? "", "id_ed25519");
  }

  get hostKeyFingerprint(): string {
    return this.#sshd ? "" : this.#machine(this.instanceId).fingerprint;
  }

  get siteUrl(): string {
    return this.#siteListener ? `http://127.0.0.1:${this.#siteListener.addr.port}/` : PRIVATE_URL;
  }

  instances(): readonly Instance[] {
    return this.#fleet.list().map((instance) => ({ ...instance }));
  }

  sessions(): readonly SessionReport[] {
    return this.#sessions.list().map(reportOf);
  }

  on(listener: (event: SandboxEvent) => void): Disposable {
    return this.#events.on(listener);
  }

  setFaults(switches: Partial<Switches>): void {
    this.#switches = { ...this.#switches, ...switches };
    if (switches.upgradeErrors !== undefined) this.#gateway.failUpgrades(switches.upgradeErrors);
  }

  cut(options: { readonly sessionId?: string; readonly mode?: CutMode } = {}): number {
    return this.#chosen(options.sessionId).filter((session) => session.cut(options.mode)).length;
  }

  cutAgent(options: { readonly sessionId?: string } = {}): void {
    for (const session of this.#chosen(options.sessionId)) session.cutAgent();
  }

  setPublication(running: boolean): void {
    for (const session of this.#sessions.live()) session.setPublication(running);
  }

  terminate(sessionId: string, output = ""): void {
    this.#sessions.get(sessionId)?.end(output);
  }

  startInstance(instanceId: string): void {
    this.#fleet.start(instanceId);
  }

  stopInstance(instanceId: string): void {
    this.#fleet.stop(instanceId);
  }

  launchInstance(spec: Omit<InstanceSpec, "state">): string {
    return this.#fleet.launch(spec);
  }

  terminateInstance(instanceId: string): void {
    this.#fleet.terminate(instanceId);
  }

  freezeInstance(instanceId: string, frozen = true): void {
    this.#sessions.freeze(instanceId, frozen);
  }

  setAgentOnline(instanceId: string, online: boolean): void {
    this.#fleet.setAgentOnline(instanceId, online);
  }

  replaceHostKey(instanceId: string): string {
    const machine = this.#machine(instanceId);
    machine.rebuild();
    return machine.fingerprint;
  }

  setCredentials(credentials?: Credentials): Credentials {
    return this.#identities.replaceUser(credentials);
  }

  temporaryCredentials(lifetime: number): Credentials {
    return this.#identities.temporary(lifetime);
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#fleet.close();
    this.#sessions.close();
    this.#siteListener?.close();
    this.#site.close();
    for (const machine of this.#machines.values()) machine.close();
    await Promise.all([this.#api.close(), this.#gateway.close()]);
    if (this.#directory) await Deno.remove(this.#directory, { recursive: true });
  }

  /** Writes the user's key pair. @returns its public half */
  async #makeKey(): Promise<string> {
    const { privateKey, publicKey } = generateKeyPair("awsocks-sandbox");
    this.#directory = await Deno.makeTempDir({ prefix: "awsocks-sandbox-" });
    await Deno.writeTextFile(this.sshKeyPath, privateKey, { mode: 0o600 });
    await Deno.writeTextFile(`${this.sshKeyPath}.pub`, `${publicKey}\n`);
    return publicKey;
  }

  #chosen(sessionId?: string) {
    const live = this.#sessions.live();
    return sessionId === undefined
      ? live
      : live.filter((session) => session.facts.sessionId === sessionId);
  }

  #machine(instanceId: string): Machine {
    let machine = this.#machines.get(instanceId);
    if (!machine) {
      machine = new Machine({
        clock: this.#options.clock ?? systemClock,
        instanceId,
        user: this.sshUser,
        authorizedKeys: this.#authorizedKeys,
        network: this.#network,
        events: this.#events,
        sshd: this.#sshd,
      });
      this.#machines.set(instanceId, machine);
    }
    return machine;
  }

  #services(): ReadonlyMap<number, TcpService> {
    return new Map<number, TcpService>([
      [ServicePort.Echo, echo],
      [ServicePort.Discard, discard],
      [ServicePort.Chargen, chargen],
      ...HTTP_PORTS.map((port) => [port, (conn) => this.#site.serve(conn)] as [number, TcpService]),
    ]);
  }

  /** A real sshd cannot see the private network: it gets the web site on a loopback port. */
  #exposeSite(): void {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.#siteListener = listener;
    const accept = async () => {
      for await (const conn of listener) this.#site.serve(new DenoConn(conn));
    };
    accept().catch((error) => getLog("sandbox").error("Web site accepts no more", { error }));
  }
}

function checkedInstances(options: SandboxOptions) {
  const specs = options.instances ?? DEFAULT_INSTANCES;
  if (specs.length === 0) throw new AwsocksError("usage", "The sandbox needs an instance");
  return specs;
}

function parseHostPort(text: string): { hostname: string; port: number } {
  const match = /^(?:\[([\da-f:.]+)\]|([^:\s]+)):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3]);
  if (!match || port < 1 || port > 65535) {
    throw new AwsocksError("usage", `"${text}" is not host:port`);
  }
  return { hostname: match[1] ?? match[2]!, port };
}
