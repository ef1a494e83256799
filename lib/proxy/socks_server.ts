/**
 * The server's side of a SOCKS handshake: from the first byte to a {@linkcode ClientRequest}.
 *
 * Clients may send all their messages, and data behind them, without waiting for an answer.
 *
 * @module
 */

import { AwsocksError, outcomeOf, writeAll } from "../core/mod.ts";
import type { Verify } from "./auth.ts";
import type { BufferedConn } from "./buffered_conn.ts";
import { type ClientRequest, told } from "./client_request.ts";
import { encodeSocks4Reply, parseSocks4Request } from "./socks4.ts";
import {
  encodeAuthStatus,
  encodeMethod,
  encodeReply,
  parseCredentials,
  parseGreeting,
  parseRequest,
  SocksCommand,
  SocksMethod,
  type SocksRequest,
} from "./socks5.ts";
import { clientTarget } from "./target.ts";

/**
 * Reads a SOCKS5 request (RFC 1928), with user and password (RFC 1929) exactly if `verify` is given.
 *
 * What fails after the authentication has been answered with its reply.
 *
 * @throws AwsocksError `proxy-…`, or what reading and writing throw
 */
export async function acceptSocks5(client: BufferedConn, verify?: Verify): Promise<ClientRequest> {
  await authenticate(client, verify);
  const refuse = (error: unknown) => writeAll(client, encodeReply(outcomeOf(error).socks));
  try {
    return {
      protocol: "socks5",
      target: targetOf(await client.parse(parseRequest)),
      accept: (bound) => writeAll(client, encodeReply(0, bound)),
      refuse,
    };
  } catch (error) {
    throw await told(refuse, error);
  }
}

async function authenticate(client: BufferedConn, verify: Verify | undefined): Promise<void> {
  const method = verify ? SocksMethod.UserPassword : SocksMethod.None;
  const offered = await client.parse(parseGreeting);
  if (!offered.includes(method)) {
    await writeAll(client, encodeMethod(SocksMethod.NoAcceptable));
    throw new AwsocksError(
      "proxy-auth-failed",
      verify
        ? "SOCKS5 client offers no user and password, which this proxy needs"
        : "SOCKS5 client insists on an authentication that this proxy does not have",
    );
  }
  await writeAll(client, encodeMethod(method));
  if (!verify) return;
  const { user, password } = await client.parse(parseCredentials);
  const accepted = await verify(user, password);
  await writeAll(client, encodeAuthStatus(accepted));
  if (!accepted) {
    throw new AwsocksError("proxy-auth-failed", "SOCKS5 client gave a wrong user or password");
  }
}

/**
 * Reads a SOCKS4 or SOCKS4a request. The protocol has no passwords: with `verify` it is refused.
 *
 * @throws AwsocksError `proxy-…`, after the client was told
 */
export async function acceptSocks4(client: BufferedConn, verify?: Verify): Promise<ClientRequest> {
  const refuse = () => writeAll(client, encodeSocks4Reply(false));
  try {
    const request = await client.parse(parseSocks4Request);
    if (verify) {
      throw new AwsocksError(
        "proxy-auth-failed",
        "SOCKS4 client cannot give the user and password that this proxy needs",
      );
    }
    return {
      protocol: "socks4",
      target: targetOf(request),
      accept: () => writeAll(client, encodeSocks4Reply(true)),
      refuse,
    };
  } catch (error) {
    throw await told(refuse, error);
  }
}

function targetOf({ command, host, port }: SocksRequest) {
  if (command !== SocksCommand.Connect) {
    throw new AwsocksError(
      "proxy-command-unsupported",
      `Client asks for SOCKS ${commandName(command)}; this proxy only does CONNECT`,
    );
  }
  return clientTarget(host, port);
}

function commandName(command: number): string {
  if (command === SocksCommand.Bind) return "BIND";
  return command === SocksCommand.UdpAssociate ? "UDP ASSOCIATE" : `command ${command}`;
}
