/**
 * Every way in which a request can fail, and what the client and the log are to say.
 *
 * @module
 */

import { generateKeyPairSync } from "node:crypto";
import { SocksReply, type Target } from "../../lib/core/mod.ts";
import { generateKeyPair } from "../../lib/sandbox/instance/keys.ts";
import { eventually } from "../proxy/loopback.ts";
import {
  CREDENTIALS_FILE,
  credentialsText,
  putCredentials,
  renewCredentials,
} from "../support/credentials_file.ts";
import type { Stack, StackOptions } from "../support/stack.ts";
import { getPage } from "../support/transfers.ts";

/** A way to fail. */
export interface Failure {
  readonly name: string;
  readonly options?: StackOptions;
  /** Brings the fault about once the proxy listens. */
  readonly arrange?: (stack: Stack) => unknown;
  /** What the client asks for; default the private web site. */
  readonly target?: Target;
  /** The whole message behind `No way into the private network: `, if that is what it begins with. */
  readonly message: RegExp;
  readonly hint?: RegExp;
  readonly socks: SocksReply;
  readonly http: number;
  /** Time until the answer by the proxy's clock, at most, in milliseconds. */
  readonly within: number;
  /** The proxy waits for something that does not come: its time runs faster. */
  readonly waits?: boolean;
  /** Takes the cause away, or looks that there was none; absent where only a restart helps. */
  readonly mend?: (stack: Stack) => unknown;
}

/** A request that is turned down without waiting for anything. */
const AT_ONCE = 5000;

const NO_KEYS = { AWS_ACCESS_KEY_ID: null, AWS_SECRET_ACCESS_KEY: null } as const;
async function putKey({ home, sandbox }: Stack, path = "key"): Promise<void> {
  await Deno.mkdir(`${home}/.ssh`, { recursive: true });
  await Deno.copyFile(sandbox.sshKeyPath, `${home}/${path}`);
}

const encryptedKey = () =>
  generateKeyPairSync("ed25519").privateKey.export({
    type: "pkcs8",
    format: "pem",
    cipher: "aes-256-cbc",
    passphrase: "correct horse",
  }) as string;

function instanceNamed({ sandbox }: Stack, name: string): string {
  return sandbox.instances().find((instance) => instance.name === name)!.instanceId;
}

/** Nobody listens there; port 1 is one that `fetch` does not even try. */
function closedPort(): number {
  return 2;
}

const nothing = () => {};

/** All of them. */
export const FAILURES: readonly Failure[] = [
  // Credentials
  {
    name: "no credentials",
    options: { credentials: "chain", env: NO_KEYS },
    message: /^No AWS credentials found: neither the environment nor the default AWS profile /,
    hint: /AWS_PROFILE/,
    socks: SocksReply.GeneralFailure,
    http: 502,
    within: AT_ONCE,
    mend: (stack) => putCredentials(stack, stack.sandbox.credentials),
  },
  {
    name: "credentials expired",
    options: { credentials: "chain", env: NO_KEYS },
    arrange: (stack) => {
      const expired = stack.sandbox.temporaryCredentials(-60_000);
      return putCredentials(stack, stack.sandbox.setCredentials(expired));
    },
    message: /^The AWS credentials have expired, so ec2:DescribeInstances on i-\w+ failed: /,
    hint: /log in again/,
    socks: SocksReply.GeneralFailure,
    http: 502,
    within: AT_ONCE,
    mend: renewCredentials,
  },
  {
    name: "keys that AWS does not know",
    options: {
      credentials: "chain",
      env: NO_KEYS,
      files: {
        [CREDENTIALS_FILE]: credentialsText({
          accessKeyId: "AKIAIOSFODNN7EXAMPLE",
          secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        }),
      },
    },
    message:
      /^AWS does not accept the credentials for ec2:DescribeInstances on i-\w+ in eu-central-1: /,
    hint: /check the AWS profile/,
    socks: SocksReply.GeneralFailure,
    http: 502,
    within: AT_ONCE,
    mend: renewCredentials,
  },
  {
    name: "access denied",
    options: { sandbox: { deny: ["ssm:StartSession"] } },
    message:
      /^The AWS credentials do not allow ssm:StartSession on i-\w+ in eu-central-1: User: arn:aws:iam::\d+:user\/sandbox is not authorized/,
    hint: /^the caller's IAM policy needs ssm:StartSession$/,
    socks: SocksReply.NotAllowed,
    http: 502,
    within: AT_ONCE,
  },
  // Region and instance
  {
    name: "region with a typo in the AWS profile",
    options: {
      credentials: "chain",
      settings: { region: null },
      env: { AWS_REGION: null, AWS_DEFAULT_REGION: null },
      files: { ".aws/config": "[default]\nregion = eu-central1\n" },
    },
    message: /^"eu-central1" is not an AWS region; the nearest is eu-central-1$/,
    hint: /region/,
    socks: SocksReply.GeneralFailure,
    http: 502,
    within: AT_ONCE,
  },
  {
    name: "instance of another region",
    options: {
      sandbox: { region: "us-west-2" },
      settings: { "instance-id": "i-0123456789abcdef0" },
    },
    message: /^There is no instance i-0123456789abcdef0 in us-west-2$/,
    hint: /the region and the account/,
    socks: SocksReply.HostUnreachable,
    http: 502,
    within: AT_ONCE,
  },
  {
    name: "unknown instance id",
    options: { settings: { "instance-id": "i-00000000000000000" } },
    message: /^There is no instance i-00000000000000000 in eu-central-1$/,
    hint: /check the instance id/,
    socks: SocksReply.HostUnreachable,
    http: 502,
    within: AT_ONCE,
  },
  {
    name: "unknown name",
    options: { settings: { name: "sandbox-stoped" } },
    message:
      /^No instance in eu-central-1 has the Name tag "sandbox-stoped"; the nearest is "sandbox-stopped"$/,
    hint: /Name tag/,
    socks: SocksReply.HostUnreachable,
    http: 502,
    within: AT_ONCE,
  },
  {
    name: "ambiguous name",
    options: { settings: { name: "sandbox-twin" } },
    message:
      /^2 instances in eu-central-1 have the Name tag "sandbox-twin": i-\w+ \(sandbox-twin\) running, i-\w+ \(sandbox-twin\) running$/,
    hint: /--instance-id/,
    socks: SocksReply.GeneralFailure,
    http: 502,
    within: AT_ONCE,
  },
  {
    name: "instance stopped",
    options: {
      sandbox: { transitionTime: 10, agentStartTime: 10 },
      settings: { name: "sandbox-stopped" },
    },
    message: /^Instance i-\w+ \(sandbox-stopped\) in eu-central-1 is stopped$/,
    hint: /--auto-start/,
    socks: SocksReply.HostUnreachable,
    http: 502,
    within: AT_ONCE,
    mend: async (stack) => {
      stack.sandbox.startInstance(instanceNamed(stack, "sandbox-stopped"));
      const online = () => stack.sandbox.instances()[1]!.agentOnline;
      await eventually(online, "the agent of the started instance is online");
    },
  },
  {
    name: "agent offline",
    options: { settings: { name: "sandbox-offline" } },
    message: /^The SSM agent on i-\w+ in eu-central-1 is not connected$/,
    hint: /SSM agent runs/,
    socks: SocksReply.NetworkUnreachable,
    http: 502,
    within: AT_ONCE,
    mend: (stack) => stack.sandbox.setAgentOnline(instanceNamed(stack, "sandbox-offline"), true),
  },
  {
    name: "agent silent",
    options: { sandbox: { switches: { agentDelay: 600_000 } } },
    message: /^The agent did not complete the handshake within 30 s$/,
    socks: SocksReply.NetworkUnreachable,
    http: 502,
    within: 40_000,
    waits: true,
    mend: (stack) => stack.sandbox.setFaults({ agentDelay: 0 }),
  },
  // The way there
  {
    name: "API unreachable",
    options: {
      settings: { "connect-timeout": 10 },
      env: { AWS_ENDPOINT_URL: `http://127.0.0.1:${closedPort()}` },
    },
    message:
      /^Could not reach 127\.0\.0\.1:\d+ for ec2:DescribeInstances: the connection was refused$/,
    hint: /HTTPS_PROXY/,
    socks: SocksReply.NetworkUnreachable,
    http: 502,
    within: 15_000,
    waits: true,
  },
  {
    name: "API throttled",
    options: { settings: { "connect-timeout": 10 }, sandbox: { switches: { throttle: 1 } } },
    message: /^AWS throttled ec2:DescribeInstances on i-\w+ in eu-central-1: /,
    hint: /fewer requests/,
    socks: SocksReply.GeneralFailure,
    http: 503,
    within: 15_000,
    waits: true,
    mend: (stack) => stack.sandbox.setFaults({ throttle: 0 }),
  },
  {
    name: "gateway answers with error pages",
    options: { sandbox: { switches: { upgradeErrors: 1_000_000 } } },
    message:
      /^The data channel could not be opened within 30 s: Could not open the data channel: 127\.0\.0\.1:\d+ answered with HTTP status 503$/,
    socks: SocksReply.NetworkUnreachable,
    http: 502,
    within: 40_000,
    waits: true,
    mend: (stack) => stack.sandbox.setFaults({ upgradeErrors: 0 }),
  },
  // SSH
  {
    name: "port refused",
    options: { settings: { "remote-port": 2222 } },
    message:
      /^Nothing answered on port 2222 of i-\w+: Session Manager closed the session: Unable to connect to specified port: dial tcp 127\.0\.0\.1:2222: connect: connection refused$/,
    hint: /`remote-port`/,
    socks: SocksReply.NetworkUnreachable,
    http: 502,
    within: AT_ONCE,
  },
  {
    name: "port silent",
    options: { settings: { "remote-port": 9 } },
    message:
      /^Nothing answered on port 9 of i-\w+: The SSH handshake took longer than 30 s, still before the server's SSH banner$/,
    hint: /`remote-port`/,
    socks: SocksReply.NetworkUnreachable,
    http: 502,
    within: 40_000,
    waits: true,
  },
  {
    name: "port of another service",
    options: { settings: { "remote-port": 80 } },
    message: /^There is no SSH server on port 80 of i-\w+: .*it sent "HTTP\/1\.1 400 Bad Request/,
    hint: /`remote-port`/,
    socks: SocksReply.NetworkUnreachable,
    http: 502,
    within: AT_ONCE,
  },
  {
    name: "wrong key",
    options: {
      settings: { "ssh-key": "~/key" },
      files: { key: generateKeyPair("stranger").privateKey },
    },
    message:
      /^The SSH server refuses user "ec2-user"; tried SHA256:\S+ \(\S+\/key\); the server offers publickey$/,
    hint: /authorized_keys/,
    socks: SocksReply.NotAllowed,
    http: 502,
    within: AT_ONCE,
    mend: (stack) => putKey(stack),
  },
  {
    name: "wrong user",
    options: { settings: { "ssh-user": "ubuntu" } },
    message:
      /^The SSH server refuses user "ubuntu"; tried SHA256:\S+ \(\S+\); the server offers publickey$/,
    hint: /`ssh-user`/,
    socks: SocksReply.NotAllowed,
    http: 502,
    within: AT_ONCE,
  },
  {
    name: "no key at all",
    options: {
      settings: { "backend": "ssh", "ssh-key": null },
      sandbox: { deny: ["ec2-instance-connect:*"] },
    },
    message:
      /^No SSH key found: no ssh-agent \(SSH_AUTH_SOCK\), none of id_ed25519, id_ecdsa, id_rsa in \S+\/\.ssh, and EC2 Instance Connect cannot be used: .* do not allow ec2-instance-connect:SendSSHPublicKey/,
    hint: /--ssh-key/,
    socks: SocksReply.GeneralFailure,
    http: 502,
    within: AT_ONCE,
    mend: (stack) => putKey(stack, ".ssh/id_ed25519"),
  },
  {
    name: "key file gone",
    options: { settings: { "ssh-key": "~/key" }, files: { key: "" } },
    arrange: ({ home }) => Deno.remove(`${home}/key`),
    message: /^Cannot read SSH key \S+\/key: no such file$/,
    hint: /--ssh-key/,
    socks: SocksReply.GeneralFailure,
    http: 502,
    within: AT_ONCE,
    mend: (stack) => putKey(stack),
  },
  {
    name: "key file that is none",
    options: { settings: { "ssh-key": "~/key" }, files: { key: "not a key\n" } },
    message: /^SSH key \S+\/key is not a private key$/,
    socks: SocksReply.GeneralFailure,
    http: 502,
    within: AT_ONCE,
    mend: (stack) => putKey(stack),
  },
  {
    name: "encrypted key without passphrase",
    options: { settings: { "ssh-key": "~/key" }, files: { key: encryptedKey() } },
    message: /^SSH key \S+\/key is encrypted and there is no passphrase for it$/,
    hint: /SSH_KEY_PASSPHRASE/,
    socks: SocksReply.GeneralFailure,
    http: 502,
    within: AT_ONCE,
    mend: (stack) => putKey(stack),
  },
  {
    name: "encrypted key with a wrong passphrase",
    options: {
      settings: { "ssh-key": "~/key", "ssh-key-passphrase": "wrong horse" },
      files: { key: encryptedKey() },
    },
    message: /^SSH key \S+\/key does not open with this passphrase$/,
    hint: /SSH_KEY_PASSPHRASE/,
    socks: SocksReply.GeneralFailure,
    http: 502,
    within: AT_ONCE,
    mend: (stack) => putKey(stack),
  },
  {
    name: "changed host key",
    arrange: async (stack) => {
      await getPage(stack);
      await stack.sandbox.replaceHostKey(stack.sandbox.instanceId);
      await stack.logged(/has ended/);
    },
    message:
      /^The host key of i-\w+ has changed: \S+\/known_hosts line 1 has SHA256:\S+ \(ssh-ed25519\), the server presents SHA256:\S+ \(ssh-ed25519\)$/,
    hint: /remove its line/,
    socks: SocksReply.NotAllowed,
    http: 502,
    within: AT_ONCE,
    mend: ({ home }) => Deno.remove(`${home}/.local/state/awsocks/known_hosts`),
  },
  // The destination
  {
    name: "destination refused",
    target: { host: "refused.sandbox.internal", port: 443 },
    message: /^Cannot connect to refused\.sandbox\.internal:443: Connection refused$/,
    socks: SocksReply.ConnectionRefused,
    http: 502,
    within: AT_ONCE,
    mend: nothing,
  },
  {
    name: "destination's name unknown to the instance",
    target: { host: "nowhere.sandbox.internal", port: 80 },
    message: /^Cannot connect to nowhere\.sandbox\.internal:80: Name or service not known$/,
    socks: SocksReply.HostUnreachable,
    http: 502,
    within: AT_ONCE,
    mend: nothing,
  },
  {
    name: "destination unreachable",
    target: { host: "unreachable.sandbox.internal", port: 80 },
    message: /^Cannot connect to unreachable\.sandbox\.internal:80: No route to host$/,
    socks: SocksReply.HostUnreachable,
    http: 502,
    within: AT_ONCE,
    mend: nothing,
  },
  {
    name: "destination's network unreachable",
    target: { host: "192.0.2.1", port: 80 },
    message: /^Cannot connect to 192\.0\.2\.1:80: Network is unreachable$/,
    socks: SocksReply.NetworkUnreachable,
    http: 502,
    within: AT_ONCE,
    mend: nothing,
  },
  {
    name: "destination prohibited by sshd",
    target: { host: "prohibited.sandbox.internal", port: 80 },
    message:
      /^Cannot connect to prohibited\.sandbox\.internal:80: the SSH server refuses to forward there$/,
    hint: /AllowTcpForwarding/,
    socks: SocksReply.NotAllowed,
    http: 403,
    within: AT_ONCE,
    mend: nothing,
  },
  {
    name: "destination silent, the instance gives up",
    options: { sandbox: { connectTimeout: 500 } },
    target: { host: "blackhole.sandbox.internal", port: 80 },
    message: /^Cannot connect to blackhole\.sandbox\.internal:80: Connection timed out$/,
    socks: SocksReply.TtlExpired,
    http: 504,
    within: AT_ONCE,
    mend: nothing,
  },
  {
    name: "destination silent, the proxy gives up",
    target: { host: "blackhole.sandbox.internal", port: 80 },
    message: /^Cannot connect to blackhole\.sandbox\.internal:80: no answer within 30 s$/,
    socks: SocksReply.TtlExpired,
    http: 504,
    within: 40_000,
    waits: true,
    mend: nothing,
  },
  // Rules
  {
    name: "destination blocked by a rule",
    options: { settings: { "routing.block": ["*.example.com"] } },
    target: { host: "www.example.com", port: 443 },
    message:
      /^www\.example\.com:443 is blocked by the rules: matches the block pattern "\*\.example\.com"$/,
    socks: SocksReply.NotAllowed,
    http: 403,
    within: AT_ONCE,
    mend: nothing,
  },
  {
    name: "vm-direct in direct mode",
    options: { settings: { "routing.vm-direct": ["*.example.com"] } },
    target: { host: "www.example.com", port: 443 },
    message:
      /^www\.example\.com:443 is blocked by the rules: matches the vm-direct pattern "\*\.example\.com", and vm-direct needs `mode = "vm"`$/,
    socks: SocksReply.NotAllowed,
    http: 403,
    within: AT_ONCE,
    mend: nothing,
  },
];
