import { Socket } from 'node:net';
import type { Sql } from './sql.ts';

export interface RenewedPool {
  /** Speaks through the newest pool, each query anew. */
  sql: Sql;
  /** The pool of this moment: refuses everything from the loss of a connection on. */
  now: () => Sql;
  /** Waits so many seconds for what is under way. */
  end: (seconds: number) => Promise<void>;
}

/**
 * A pool that is replaced as a whole when one of its connections is lost or could not be made. postgres.js 3.4.9 goes on in the place of a lost
 * connection with what is left there: an unfinished query, the error of the old session, bytes never sent. The next session's first query then fails with
 * the old error, or its first message is never sent and `connect_timeout` passes in silence, again and again; and queries that waited behind a failed
 * one go to the next session, as if nothing had been (porsager/postgres#1133, #1193, #1215). `graceSeconds` is for what the pool's other connections are
 * doing; beyond, it fails as CONNECTION_DESTROYED.
 */
export function renewedPool(graceSeconds: number, open: (makeSocket: () => Socket) => Sql): RenewedPool {
  let ended = false;
  let current = openNext();

  function openNext(): Sql {
    const isOver = (): boolean => ended || pool !== current;
    const pool = open(() => {
      if (isOver()) throw Object.assign(new Error('This pool is closed.'), { code: 'CONNECTION_ENDED' });
      return new WatchedSocket(() => {
        if (isOver()) return;
        current = openNext();
        void pool.end({ timeout: graceSeconds });
      });
    });
    return pool;
  }

  const end = async (seconds: number): Promise<void> => {
    ended = true;
    await current.end({ timeout: seconds });
  };
  return {
    sql: new Proxy(current, {
      apply: (_first, self, args) => Reflect.apply(current as unknown as () => unknown, self, args),
      get: (_first, name) => (name === 'end' ? (options?: { timeout?: number }) => end(options?.timeout ?? 5) : (Reflect.get(current, name) as unknown)),
    }),
    now: () => current,
    end,
  };
}

/** Where postgres.js would connect by itself: a host that is a folder holds a Unix socket. */
export function connectSocket(socket: Socket, host: string, port: number): Socket {
  if (host.startsWith('/')) return socket.connect(`${host}/.s.PGSQL.${port}`);
  // postgres.js reads the name for the server's certificate from here.
  return Object.assign(socket.connect(port, host), { host });
}

/** Tells when a session ends, or cannot begin, that was not ended by us. */
class WatchedSocket extends Socket {
  private readonly onLost: () => void;
  private endedByUs = false;

  constructor(onLost: () => void) {
    super();
    this.onLost = onLost;
  }

  /** Node calls it, too, when the other side has ended first. */
  override end(...args: unknown[]): this {
    if (!this.readableEnded) this.endedByUs = true;
    return Reflect.apply(super.end, this, args) as this;
  }

  /** After postgres.js has heard of it (which has its own way of losing a waiting query otherwise), and before anything else can happen. */
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    const heard = Reflect.apply(super.emit, this, [event, ...args]) as boolean;
    if (event === 'close' && !this.endedByUs) this.onLost();
    return heard;
  }
}
