import { type IncomingMessage, type Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Express, Request, Response } from 'express';
import { type WebSocket, WebSocketServer } from 'ws';

/** Larger messages are not even read; nobody has anything to say here. */
const largestMessageBytes = 4_096;

/** Turns a request's connection into a WebSocket; null: the client's handshake was not one, or it has gone. */
type Upgrade = () => Promise<WebSocket | null>;
const upgrades = new WeakMap<IncomingMessage, Upgrade>();

/** Undefined: the request asks for no WebSocket. */
export const upgradeOf = (request: Request): Upgrade | undefined => upgrades.get(request);

/** Requests that name another protocol (h2c, say) are answered in the one they came in. */
export const asksForSocket = ({ method, headers }: Pick<IncomingMessage, 'method' | 'headers'>): boolean =>
  method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket';

/**
 * Requests that ask for a WebSocket go through the app like all others: same checks in the same order, refusals as problems. Their route's handler makes the
 * connection a socket, or does not.
 */
export function acceptSockets(server: Server, app: Express): { close: () => void } {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: largestMessageBytes });
  // A session that was renewed on the way has a new cookie.
  const cookies = new WeakMap<IncomingMessage, string[]>();
  sockets.on('headers', (headers, request) => headers.push(...(cookies.get(request) ?? []).map((cookie) => `Set-Cookie: ${cookie}`)));

  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    socket.on('error', () => socket.destroy());
    response.once('finish', () => {
      response.detachSocket(socket);
      socket.end();
    });
    // A response without its socket hears no more of it.
    socket.once('close', () => {
      if (response.socket === null) response.emit('close');
    });
    upgrades.set(request, async () => {
      cookies.set(request, [response.getHeader('set-cookie') ?? []].flat().map(String));
      response.statusCode = 101;
      response.detachSocket(socket);
      return new Promise((resolve) => {
        socket.once('close', () => resolve(null));
        sockets.handleUpgrade(request, socket, head, (webSocket) => {
          // What breaks the protocol is closed by the library, with the code that says so.
          webSocket.on('error', () => webSocket.terminate());
          resolve(webSocket);
        });
      });
    });
    app(request as Request, response as Response);
  });

  return {
    close: () => {
      for (const socket of sockets.clients) socket.close(1001, 'The server ends: come back with your position.');
      sockets.close();
    },
  };
}
