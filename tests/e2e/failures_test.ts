/**
 * What a person and a client see when something is wrong: each fault has a message, an exit code and a
 * SOCKS reply of its own.
 */

import assert from "node:assert/strict";
import { ExitCode, SocksReply } from "../../lib/core/errors.ts";
import { type Sandbox, startSandbox } from "../../lib/sandbox/mod.ts";
import { runProgram, startProgram } from "../support/program.ts";
import { replyTo } from "../support/proxy_client.ts";

interface Fault {
  readonly name: string;
  /** Brings the fault about; gives what differs from a run that works. */
  readonly arrange: (sandbox: Sandbox, home: string) => Promise<Changed> | Changed;
  readonly exit: number;
  readonly message: RegExp;
  readonly hint: RegExp;
  /** Reply to a client, when the proxy was started lazily. */
  readonly reply: number;
}

interface Changed {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Without the sandbox's instance and key on the command line. */
  readonly bare?: boolean;
}

const other = (sandbox: Sandbox, name: string) =>
  sandbox.instances().find((instance) => instance.name === name)!.instanceId;

const key = (sandbox: Sandbox) => ["-k", sandbox.sshKeyPath];

const FAULTS: readonly Fault[] = [
  {
    name: "no credentials",
    arrange: () => ({ env: { AWS_ACCESS_KEY_ID: "", AWS_SECRET_ACCESS_KEY: "" } }),
    exit: ExitCode.Credentials,
    message: /credentials/i,
    hint: /AWS_PROFILE/,
    reply: SocksReply.GeneralFailure,
  },
  {
    name: "credentials that AWS does not know",
    arrange: (sandbox) => {
      const { env } = sandbox;
      sandbox.setCredentials();
      return { env };
    },
    exit: ExitCode.Credentials,
    message: /./,
    hint: /AWS profile/,
    reply: SocksReply.GeneralFailure,
  },
  {
    name: "a wrong region",
    arrange: () => ({ env: { AWS_REGION: "us-west-2" } }),
    // EC2 answers a signature for another region as it answers unknown keys.
    exit: ExitCode.Credentials,
    message: /us-west-2/,
    hint: /./,
    reply: SocksReply.GeneralFailure,
  },
  {
    name: "a region that does not exist",
    arrange: () => ({ env: { AWS_REGION: "eu-centrall-1", AWS_ENDPOINT_URL: "" } }),
    exit: ExitCode.Aws,
    message: /eu-centrall-1.*eu-central-1/,
    hint: /region/,
    reply: SocksReply.GeneralFailure,
  },
  {
    name: "an unknown instance",
    arrange: (sandbox) => ({ bare: true, args: ["-i", "i-00000000000000000", ...key(sandbox)] }),
    exit: ExitCode.Aws,
    message: /i-00000000000000000/,
    hint: /check the instance id or Name tag/,
    reply: SocksReply.HostUnreachable,
  },
  {
    name: "an unknown Name tag",
    arrange: (sandbox) => ({ bare: true, args: ["-n", "sandbocks", ...key(sandbox)] }),
    exit: ExitCode.Aws,
    message: /sandbocks/,
    hint: /./,
    reply: SocksReply.HostUnreachable,
  },
  {
    name: "a Name tag of several instances",
    arrange: (sandbox) => ({ bare: true, args: ["-n", "sandbox-twin", ...key(sandbox)] }),
    exit: ExitCode.Usage,
    message: /sandbox-twin.*i-[0-9a-f]{17}.*i-[0-9a-f]{17}/s,
    hint: /--instance-id/,
    reply: SocksReply.GeneralFailure,
  },
  {
    name: "a stopped instance",
    arrange: (sandbox) => ({
      bare: true,
      args: ["-i", other(sandbox, "sandbox-stopped"), ...key(sandbox)],
    }),
    exit: ExitCode.Aws,
    message: /stopped/,
    hint: /--auto-start/,
    reply: SocksReply.HostUnreachable,
  },
  {
    name: "an agent that is offline",
    arrange: (sandbox) => ({
      bare: true,
      args: ["-i", other(sandbox, "sandbox-offline"), ...key(sandbox)],
    }),
    exit: ExitCode.Aws,
    message: /./,
    hint: /SSM agent/,
    reply: SocksReply.NetworkUnreachable,
  },
  {
    name: "a wrong key",
    arrange: async (sandbox, home) => {
      const path = `${home}/id_ed25519`;
      await generateKey(path);
      return { bare: true, args: ["-i", sandbox.instanceId, "-k", path] };
    },
    exit: ExitCode.Session,
    message: /ec2-user/,
    hint: /authorized_keys/,
    reply: SocksReply.NotAllowed,
  },
  {
    name: "a changed host key",
    arrange: async (sandbox, home) => {
      const args = ["-i", sandbox.instanceId, ...key(sandbox), "--no-lazy", "-l", "127.0.0.1:0"];
      await using program = startProgram(["start", ...args], { env: sandbox.env, home });
      await program.saw(/listens on/);
      await program.stop();
      await sandbox.replaceHostKey(sandbox.instanceId);
      return {};
    },
    exit: ExitCode.Session,
    message: /host key.*SHA256:.*SHA256:/is,
    hint: /known hosts file/,
    reply: SocksReply.NotAllowed,
  },
];

async function generateKey(path: string): Promise<void> {
  const args = ["-q", "-t", "ed25519", "-N", "", "-f", path];
  const { code } = await new Deno.Command("ssh-keygen", { args }).output();
  assert.equal(code, 0, "ssh-keygen failed");
}

/** Arranges a fault and gives the arguments and environment of a run that meets it. */
async function meet(
  fault: Fault,
  work: (
    args: readonly string[],
    options: { env: Record<string, string>; home: string },
  ) => Promise<void>,
): Promise<void> {
  await using sandbox = await startSandbox();
  const home = await Deno.makeTempDir({ prefix: "awsocks-test-" });
  try {
    const { args = [], env = {}, bare = false } = await fault.arrange(sandbox, home);
    const usual = bare ? [] : ["-i", sandbox.instanceId, ...key(sandbox)];
    await work(["start", ...usual, ...args, "-l", "127.0.0.1:0"], {
      env: { ...sandbox.env, ...env },
      home,
    });
    assert.ok(sandbox.sessions().every(({ live }) => !live), "no session is left over");
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

for (const fault of FAULTS) {
  Deno.test(`awsocks start --no-lazy with ${fault.name} says so`, async () => {
    await meet(fault, async (args, options) => {
      const { code, stdout, stderr } = await runProgram([...args, "--no-lazy", "-q"], options);
      assert.equal(code, fault.exit, stderr);
      assert.equal(stdout, "");
      const [, message = "", hint = ""] = /^awsocks: ([\s\S]*?)(?:\ntry: (.*))?\n$/m.exec(stderr) ??
        [];
      assert.match(message, fault.message, stderr);
      assert.match(hint, fault.hint, stderr);
      assert.doesNotMatch(stderr, /\n\s+at /, "no stack trace");
    });
  });

  Deno.test(`a client of a lazy awsocks with ${fault.name} gets SOCKS reply ${fault.reply}`, async () => {
    await meet(fault, async (args, options) => {
      await using program = startProgram([...args, "--lazy-until-ready=wait"], options);
      const [, port] = await program.saw(/listens on 127\.0\.0\.1:(\d+)/);
      assert.equal(await replyTo(Number(port), "hello.sandbox.internal", 80), fault.reply);
      const { stderr } = await program.stop();
      assert.match(stderr, fault.message);
    });
  });
}

Deno.test("clients get a SOCKS reply for what is wrong with the destination", async () => {
  await using program = startProgram([
    "start",
    "--sandbox",
    "--no-lazy",
    "--route-block",
    "blocked.example",
    "-l",
    "127.0.0.1:0",
  ]);
  const [, port] = await program.saw(/listens on 127\.0\.0\.1:(\d+)/);
  const rows: [host: string, port: number, reply: number, message: RegExp][] = [
    ["hello.sandbox.internal", 80, SocksReply.Succeeded, /./],
    ["refused.sandbox.internal", 80, SocksReply.ConnectionRefused, /refused\.sandbox\.internal/],
    ["hello.sandbox.internal", 9999, SocksReply.ConnectionRefused, /hello\.sandbox\.internal:9999/],
    ["nowhere.sandbox.internal", 80, SocksReply.HostUnreachable, /nowhere\.sandbox\.internal/],
    ["blocked.example", 80, SocksReply.NotAllowed, /blocked\.example/],
  ];
  for (const [host, hostPort, reply, message] of rows) {
    assert.equal(await replyTo(Number(port), host, hostPort), reply, host);
    if (reply !== SocksReply.Succeeded) await program.saw(message, "stderr");
  }
  assert.equal((await program.stop()).code, 0);
});
