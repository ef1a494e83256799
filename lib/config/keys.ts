/**
 * Every configuration key: the one list that schema, merge, documentation and command line share.
 *
 * @module
 */

/** A value of a key. */
export type ConfigValue = string | number | boolean | readonly string[];

/** What a value has to look like; `values.ts` gives each kind its rules. */
export type KeyKind =
  | "boolean"
  | "choice"
  | "credential"
  | "instance-id"
  | "integer"
  | "listen"
  | "path"
  | "patterns"
  | "region"
  | "text"
  | "url";

/** Description of a key. */
export interface ConfigKey {
  /** Dotted, in kebab case, as in `[defaults]` or a profile: `instance-id`, `routing.proxy`. */
  readonly key: string;
  readonly kind: KeyKind;
  /** Value when the key is given nowhere; a leading `~` stands for the home directory. */
  readonly default?: ConfigValue;
  /** One line for the reference. */
  readonly description: string;
  /** Environment variables that set it, the stronger first. */
  readonly environment: readonly string[];
  /** Long flag of `awsocks start`. A secret is better given otherwise: process lists show flags. */
  readonly flag?: `--${string}`;
  /** Short flag. */
  readonly short?: `-${string}`;
  /** True for values that must not be shown. */
  readonly secret?: true;
  /** Allowed values of a `choice`. */
  readonly values?: readonly string[];
  /** Bounds of an `integer`, both included. */
  readonly range?: readonly [least: number, most: number];
  /** Schemes of a `url`, without colon. */
  readonly schemes?: readonly string[];
}

/** Value of `ssh-key` that stands for EC2 Instance Connect instead of a file. */
export const INSTANCE_CONNECT = "instance-connect";

const ROUTES = ["proxy", "direct", "vm-direct", "block"] as const;

const TABLE = [
  {
    key: "instance-id",
    kind: "instance-id",
    description: "Instance to go through; silences a `name` of a lower level",
    environment: ["AWSOCKS_INSTANCE_ID"],
    flag: "--instance-id",
    short: "-i",
  },
  {
    key: "name",
    kind: "text",
    description:
      "`Name` tag of the instance, `*` and `?` are wildcards; silences an `instance-id` of a lower level",
    environment: ["AWSOCKS_NAME"],
    flag: "--name",
    short: "-n",
  },
  {
    key: "aws-profile",
    kind: "text",
    description: "Profile of the AWS configuration files that gives the credentials",
    environment: ["AWS_PROFILE"],
    flag: "--aws-profile",
  },
  {
    key: "region",
    kind: "region",
    description: "AWS region of the instance; else that of the AWS profile",
    environment: ["AWS_REGION", "AWS_DEFAULT_REGION"],
    flag: "--region",
    short: "-r",
  },
  {
    key: "ssh-user",
    kind: "text",
    default: "ec2-user",
    description: "User to log in as on the instance",
    environment: ["AWSOCKS_SSH_USER"],
    flag: "--ssh-user",
    short: "-u",
  },
  {
    key: "ssh-key",
    kind: "path",
    description:
      "Private key file, or `instance-connect`; else keys of the ssh-agent, in `~/.ssh`, or EC2 Instance Connect",
    environment: ["AWSOCKS_SSH_KEY"],
    flag: "--ssh-key",
    short: "-k",
  },
  {
    key: "ssh-key-passphrase",
    kind: "text",
    description: "Passphrase of the private key; asked for on a terminal when it is missing",
    environment: ["SSH_KEY_PASSPHRASE"],
    flag: "--ssh-key-passphrase",
    secret: true,
  },
  {
    key: "known-hosts",
    kind: "path",
    default: "~/.ssh/known_hosts",
    description: "OpenSSH known hosts file that is read besides the program's own",
    environment: ["AWSOCKS_KNOWN_HOSTS"],
    flag: "--known-hosts",
  },
  {
    key: "auto-start",
    kind: "boolean",
    default: false,
    description: "Start the instance if it is stopped",
    environment: ["AWSOCKS_AUTO_START"],
    flag: "--auto-start",
  },
  {
    key: "auto-stop",
    kind: "boolean",
    default: false,
    description: "On the way out, stop the instance if this run started it",
    environment: ["AWSOCKS_AUTO_STOP"],
    flag: "--auto-stop",
  },
  {
    key: "mode",
    kind: "choice",
    values: ["direct", "vm"],
    default: "direct",
    description: "Where the AWS side runs: in this process, or in a small VM",
    environment: ["AWSOCKS_MODE"],
    flag: "--mode",
    short: "-m",
  },
  {
    key: "vm-memory",
    kind: "integer",
    range: [256, 65536],
    default: 512,
    description: "Mebibytes of memory of the VM",
    environment: ["AWSOCKS_VM_MEMORY"],
    flag: "--vm-memory",
  },
  {
    key: "vm-cpus",
    kind: "integer",
    range: [1, 64],
    default: 2,
    description: "Processors of the VM",
    environment: ["AWSOCKS_VM_CPUS"],
    flag: "--vm-cpus",
  },
  {
    key: "guest-dir",
    kind: "path",
    description:
      "Folder of the VM's image; else `../share/awsocks` beside the program and the user's data folder",
    environment: ["AWSOCKS_GUEST_DIR"],
    flag: "--guest-dir",
  },
  {
    key: "qemu",
    kind: "path",
    description: "QEMU to run the VM with; else that of the architecture on PATH",
    environment: ["AWSOCKS_QEMU"],
    flag: "--qemu",
  },
  {
    key: "vsock-device",
    kind: "path",
    description:
      "vhost-user program for the VM's vsock; else `/dev/vhost-vsock`, else `vhost-device-vsock` on PATH",
    environment: ["AWSOCKS_VSOCK_DEVICE"],
    flag: "--vsock-device",
  },
  {
    key: "listen",
    kind: "listen",
    default: "127.0.0.1:1080",
    description: "Address of the proxy; port 0 takes a free one, no host means all addresses",
    environment: ["AWSOCKS_LISTEN"],
    flag: "--listen",
    short: "-l",
  },
  {
    key: "remote-port",
    kind: "integer",
    range: [1, 65535],
    default: 22,
    description: "Port of sshd on the instance",
    environment: ["AWSOCKS_REMOTE_PORT"],
    flag: "--remote-port",
    short: "-p",
  },
  {
    key: "lazy",
    kind: "boolean",
    default: true,
    description: "Listen at once and touch AWS with the first request; `false` connects first",
    environment: ["AWSOCKS_LAZY"],
    flag: "--lazy",
  },
  {
    key: "lazy-until-ready",
    kind: "choice",
    values: ["direct", "wait"],
    default: "direct",
    description:
      "What hosts do that are `proxy` only by default, until a lazy start has connected for the first time",
    environment: ["AWSOCKS_LAZY_UNTIL_READY"],
    flag: "--lazy-until-ready",
  },
  {
    key: "backend",
    kind: "choice",
    values: ["auto", "ssh", "port"],
    default: "auto",
    description:
      "`ssh` on the instance, `port` forwarding sessions, or `auto`: `ssh` if there is a key",
    environment: ["AWSOCKS_BACKEND"],
    flag: "--backend",
    short: "-b",
  },
  {
    key: "instances",
    kind: "choice",
    values: ["one", "all"],
    default: "one",
    description: "Where several instances have the `name`: use `one`, or spread over `all`",
    environment: ["AWSOCKS_INSTANCES"],
    flag: "--instances",
  },
  {
    key: "max-sessions",
    kind: "integer",
    range: [1, 16],
    default: 4,
    description: "Sessions at a time: connections spread over them, for each has a pace of its own",
    environment: ["AWSOCKS_MAX_SESSIONS"],
    flag: "--max-sessions",
  },
  {
    key: "payload-size",
    kind: "integer",
    range: [64, 32_768],
    default: 1024,
    description: "Bytes per message to the instance: uploads gain, where the service takes more",
    environment: ["AWSOCKS_PAYLOAD_SIZE"],
    flag: "--payload-size",
  },
  {
    key: "fallback",
    kind: "boolean",
    default: true,
    description: "Try a `proxy` destination directly when the instance has no route to it",
    environment: ["AWSOCKS_FALLBACK"],
    flag: "--fallback",
  },
  {
    key: "compression",
    kind: "boolean",
    default: true,
    description: "Compress inside SSH (`zlib@openssh.com`)",
    environment: ["AWSOCKS_COMPRESSION"],
    flag: "--compression",
  },
  {
    key: "proxy-user",
    kind: "credential",
    description: "User that clients of the proxy must give; needs `proxy-password`",
    environment: ["AWSOCKS_PROXY_USER"],
    flag: "--proxy-user",
  },
  {
    key: "proxy-password",
    kind: "credential",
    description: "Password that clients of the proxy must give; needs `proxy-user`",
    environment: ["AWSOCKS_PROXY_PASSWORD"],
    flag: "--proxy-password",
    secret: true,
  },
  {
    key: "allow-open",
    kind: "boolean",
    default: false,
    description: "Allow to listen beyond loopback without user and password",
    environment: ["AWSOCKS_ALLOW_OPEN"],
    flag: "--allow-open",
  },
  {
    key: "max-connections",
    kind: "integer",
    range: [1, 65535],
    default: 4096,
    description: "Client connections at a time",
    environment: ["AWSOCKS_MAX_CONNECTIONS"],
    flag: "--max-connections",
  },
  {
    key: "connect-timeout",
    kind: "integer",
    range: [1, 3600],
    default: 120,
    description: "Seconds a request waits while there is no connection to the instance",
    environment: ["AWSOCKS_CONNECT_TIMEOUT"],
    flag: "--connect-timeout",
  },
  {
    key: "endpoints.ssm",
    kind: "url",
    schemes: ["https", "http"],
    description: "Systems Manager API to use instead of the region's",
    environment: ["AWS_ENDPOINT_URL_SSM", "AWS_ENDPOINT_URL"],
  },
  {
    key: "endpoints.ec2",
    kind: "url",
    schemes: ["https", "http"],
    description: "EC2 API to use instead of the region's",
    environment: ["AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL"],
  },
  {
    key: "endpoints.sts",
    kind: "url",
    schemes: ["https", "http"],
    description: "STS API to use instead of the region's",
    environment: ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"],
  },
  {
    key: "endpoints.ssmmessages",
    kind: "url",
    schemes: ["wss", "ws"],
    description:
      "Replaces scheme, host and port of the address that a session's data channel connects to",
    environment: ["AWSOCKS_ENDPOINTS_SSMMESSAGES"],
  },
  {
    key: "routing.default",
    kind: "choice",
    values: ROUTES,
    default: "proxy",
    description: "Route of hosts that no pattern matches",
    environment: ["AWSOCKS_ROUTING_DEFAULT"],
    flag: "--route-default",
  },
  {
    key: "routing.proxy",
    kind: "patterns",
    default: [],
    description: "Hosts reached through the instance",
    environment: ["AWSOCKS_ROUTING_PROXY"],
    flag: "--route-proxy",
  },
  {
    key: "routing.direct",
    kind: "patterns",
    default: [],
    description: "Hosts reached from this machine",
    environment: ["AWSOCKS_ROUTING_DIRECT"],
    flag: "--route-direct",
  },
  {
    key: "routing.vm-direct",
    kind: "patterns",
    default: [],
    description: "Hosts reached through the VM's own network; refused unless `mode` is `vm`",
    environment: ["AWSOCKS_ROUTING_VM_DIRECT"],
    flag: "--route-vm-direct",
  },
  {
    key: "routing.block",
    kind: "patterns",
    default: [],
    description: "Hosts that are refused",
    environment: ["AWSOCKS_ROUTING_BLOCK"],
    flag: "--route-block",
  },
] as const satisfies readonly ConfigKey[];

/** Name of a key. */
export type KeyName = typeof TABLE[number]["key"];

/** A key of the table. */
export type KnownKey = ConfigKey & { readonly key: KeyName };

/** Every key, in the order of the reference. */
export const CONFIG_KEYS: readonly KnownKey[] = TABLE;

const BY_NAME: ReadonlyMap<string, KnownKey> = new Map(CONFIG_KEYS.map((key) => [key.key, key]));

/** The description of a key; undefined for a name that is none. */
export function findKey(name: string): KnownKey | undefined {
  return BY_NAME.get(name);
}

/** The table a key stands in: `""`, `endpoints` or `routing`; and its name there. */
export function splitKey(name: string): [table: string, leaf: string] {
  const dot = name.indexOf(".");
  return dot < 0 ? ["", name] : [name.slice(0, dot), name.slice(dot + 1)];
}
