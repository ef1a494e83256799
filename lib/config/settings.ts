/**
 * The settings of one run: what is left when flags, environment, profile, defaults and built-in
 * values are merged. Pure data; `docs/configuration.md` describes each key.
 *
 * @module
 */

/** Endpoint overrides, each an absolute `http:` or `https:` URL (`ws:`/`wss:` for ssmmessages). */
export interface Endpoints {
  readonly ssm?: string;
  readonly ec2?: string;
  readonly sts?: string;
  /** Replaces scheme, host and port of every StreamUrl. */
  readonly ssmmessages?: string;
}

/** Routing as configured; the room `routing` gives it meaning. */
export interface RoutingSettings {
  readonly default: "proxy" | "direct" | "vm-direct" | "block";
  readonly proxy: readonly string[];
  readonly direct: readonly string[];
  readonly vmDirect: readonly string[];
  readonly block: readonly string[];
}

/** Merged settings. Absent means: not given anywhere and no built-in value. */
export interface Settings {
  /** Name of the profile used; absent when none was. */
  readonly profile?: string;
  readonly instanceId?: string;
  /** EC2 Name tag; `*` and `?` are wildcards. */
  readonly name?: string;
  readonly awsProfile?: string;
  readonly region?: string;
  /** Default `ec2-user`. */
  readonly sshUser: string;
  /** Private key file, with `~` expanded, or `instance-connect`; absent means: look for one. */
  readonly sshKey?: string;
  /** Secret. */
  readonly sshKeyPassphrase?: string;
  /** Known hosts file in OpenSSH format that is read besides our own; default `~/.ssh/known_hosts`. */
  readonly knownHosts?: string;
  readonly autoStart: boolean;
  readonly autoStop: boolean;
  /** Default `direct`. */
  readonly mode: "direct" | "vm";
  /** Mebibytes of memory of the virtual machine; default 512. */
  readonly vmMemory: number;
  /** Its processors; default 2. */
  readonly vmCpus: number;
  /** Folder of its image; absent: the usual places. */
  readonly guestDir?: string;
  /** QEMU, a path or a name on PATH; absent: that of the architecture. */
  readonly qemu?: string;
  /** vhost-user program for its vsock, a path or a name on PATH; absent: what there is. */
  readonly vsockDevice?: string;
  /** `host:port` of the proxy; default `127.0.0.1:1080`. Port 0 takes a free one. */
  readonly listen: string;
  /** Port of sshd on the instance; default 22. */
  readonly remotePort: number;
  /** Default true. */
  readonly lazy: boolean;
  /** What hosts without an explicit pattern do while a lazy backend is not up; default `direct`. */
  readonly lazyUntilReady: "direct" | "wait";
  /** Default `auto`: `ssh` if there is a key to log in with, else `port`. */
  readonly backend: "auto" | "ssh" | "port";
  /** Sessions at a time, 1 to 16; default 4. */
  readonly maxSessions: number;
  /** Bytes of payload per message to the instance. */
  readonly payloadSize: number;
  /** `all`: sessions go to every running instance with the Name tag. */
  readonly instances: "one" | "all";
  /** `proxy` → `direct` on no-route-to-host or network-unreachable; default true. */
  readonly fallback: boolean;
  /** SSH compression (`zlib@openssh.com`); default true. */
  readonly compression: boolean;
  /** SOCKS user and password (RFC 1929); both or none. */
  readonly proxyUser?: string;
  /** Secret. */
  readonly proxyPassword?: string;
  /** Allows a listen address beyond loopback without user and password. */
  readonly allowOpen: boolean;
  /** Connections at a time; default 4096. */
  readonly maxConnections: number;
  /** Seconds a request waits for a backend that is not up; default 120. */
  readonly connectTimeout: number;
  readonly endpoints: Endpoints;
  readonly routing: RoutingSettings;
}
