/**
 * Help of `vsock-client`.
 *
 * @module
 */

/** What `vsock-client --help` shows. */
export const VSOCK_CLIENT_HELP = `vsock-client: run commands that a host sends over vsock

Usage
  vsock-client [CID[:PORT]] [persistent]

Connects to the host, gives each command that it sends to /bin/sh -c, sends back
what the command writes while it runs, and its status at the end. Takes one command
and exits with its status; with "persistent", commands until the host hangs up.

WARNING: commands run unchecked. Whoever answers at the address can do everything
that the user can who runs vsock-client, and nothing is encrypted.

Arguments
  CID[:PORT]      context id and port of the host; default 2:1024. Names of context
                  ids: host (2), local (1), hypervisor (0)
                  unix:PATH[:PORT] and tcp:HOST:PORT serve in place of vsock
  persistent      do not stop after the first command

Flags
  -w, --wait SECONDS  try again for so long when nobody answers, or "forever"
  -l, --listen        wait for the host at the address instead, by default any:1024
  -v, --verbose       say on standard error what happens
  -h, --help          show this
  -V, --version       show the version

Examples
  vsock-client                                 one command, from port 1024 of the host
  vsock-client 2:5000 persistent               commands from port 5000, until the end
  vsock-client --wait forever host persistent  in a boot script: the host may be late
  vsock-client unix:/run/host.sock persistent  over a Unix socket
  vsock-client tcp:127.0.0.1:1024              over TCP, as on macOS
  on the host: awsocks exec -- uname -a; or any program that speaks the protocol

Protocol
  Frames of TYPE (1 byte), LENGTH (2 bytes, little-endian) and DATA; LENGTH bytes.
  0 command  host to client   DATA is run by /bin/sh -c
  1 stdout   client to host   what the command writes, in pieces of 65,535 bytes at most
  2 stderr   client to host   the same for standard error
  3 stdin    host to client   what the command reads; without DATA, the end of it
  4 exit     client to host   the status as a signed 32-bit number, little-endian

Exit code
  That of the command; 128 + n if signal n ended it. With "persistent": 0.
  125 no command was run to its end: no connection, the host hung up, a bad frame
  2 a command line that makes no sense, 130 stopped by a signal
`;
