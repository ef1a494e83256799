/**
 * A destination in a process of its own: one port sends back what it gets, one sends until it is left.
 * Prints `{"echo": PORT, "source": PORT}`.
 *
 * @module
 */

const block = new Uint8Array(256 * 1024);

async function echo(conn: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  try {
    for (let n; (n = await conn.read(buffer)) !== null;) {
      for (let sent = 0; sent < n;) sent += await conn.write(buffer.subarray(sent, n));
    }
  } catch {
    // The client has left.
  }
  conn.close();
}

async function send(conn: Deno.TcpConn): Promise<void> {
  try {
    for (;;) await conn.write(block);
  } catch {
    conn.close();
  }
}

function serve(work: (conn: Deno.TcpConn) => Promise<void>): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  void (async () => {
    for await (const conn of listener) void work(conn);
  })();
  return listener.addr.port;
}

console.log(JSON.stringify({ echo: serve(echo), source: serve(send) }));
