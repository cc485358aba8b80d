import { type AddressInfo, createServer } from 'node:net';

/** A server on every address of this machine. Any connection is a hole. */
export interface Trap {
  port: number;
  /** Connections so far. */
  caught: number;
  close(): Promise<void>;
}

export async function startTrap(): Promise<Trap> {
  const server = createServer((socket) => {
    trap.caught += 1;
    socket.resume().end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
  });
  const trap: Trap = { port: 0, caught: 0, close: () => new Promise<void>((resolve) => void server.close(() => resolve())) };
  await new Promise<void>((resolve) => void server.listen(0, '::', resolve));
  trap.port = (server.address() as AddressInfo).port;
  return trap;
}
