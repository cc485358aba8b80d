import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { KosError } from '#core/errors.ts';

const databaseAddressSchema = z.object({
  host: z.string(),
  port: z.number(),
  database: z.string(),
  user: z.string(),
  password: z.string(),
  ssl: z.enum(['require', 'verify-full']).exactOptional(),
});

/** What the supervisor has started or found, for worker and API. It holds passwords: written to a file of mode 0600, never to a command line. */
export const partFactsSchema = z.object({
  home: z.string(),
  /** Where the API listens. */
  host: z.string(),
  port: z.number(),
  /** Under which address people reach it. */
  publicUrl: z.string(),
  temporal: z.object({ address: z.string(), namespace: z.string() }),
  /** `listen`: the way past a pooler, for LISTEN as the application; absent: there is no pooler, `app` will do. */
  database: z.object({ app: databaseAddressSchema, system: databaseAddressSchema, listen: databaseAddressSchema.exactOptional() }),
  /** The console's and Temporal's own loopback ports and the like: tools must never be let through to them. */
  ownPorts: z.array(z.number()),
});

export type PartFacts = z.infer<typeof partFactsSchema>;

const ownPortsSchema = partFactsSchema.pick({ ownPorts: true });

/**
 * The ports as they are now: a Temporal server that was started again has others. Read at every question, which is rare: only a connection to
 * this very machine asks it.
 */
export function makeOwnPortsReader(file: string | undefined): () => readonly number[] {
  if (file === undefined) throw notUnderSupervisor();
  return () => ownPortsSchema.parse(JSON.parse(readFileSync(file, 'utf8'))).ownPorts;
}

function notUnderSupervisor(): KosError {
  return new KosError({
    code: 'not_started_by_supervisor',
    message: 'This program is a part of kOS and was started by itself.',
    fix: 'Run npm start: its supervisor starts every part.',
    status: 500,
  });
}

/** `file` is `configuration.partFacts`. */
export async function readPartFacts(file: string | undefined): Promise<PartFacts> {
  if (file === undefined) throw notUnderSupervisor();
  return partFactsSchema.parse(JSON.parse(await readFile(file, 'utf8')));
}

/**
 * A part ends when the supervisor asks (SIGTERM) and when the supervisor is gone (its channel closes, even after SIGKILL). `stop` runs
 * once and lets go of what keeps the process alive: it then ends by itself, or after `graceMs` whatever is still open.
 */
export function endWithSupervisor(stop: () => Promise<void>, graceMs: number): void {
  showSignsOfLife();
  let ending = false;
  const end = (): void => {
    if (ending) return;
    ending = true;
    setTimeout(() => process.exit(1), graceMs).unref();
    stop().then(
      // Our own listener keeps the channel open, and the channel the process.
      () => process.channel?.unref(),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  // False: the supervisor died while we were starting, before anybody listened. Undefined: there never was one (started by hand, for a
  // debugger say), and only signals end the part.
  if (process.connected === false) end();
  else if (process.connected) process.once('disconnect', end);
}

const signOfLifeEveryMs = 2_000;

/** The supervisor ends a part whose event loop has stood still for 20 s: a process that hangs serves nobody and never dies by itself. */
function showSignsOfLife(): void {
  setInterval(() => {
    if (process.connected) process.send?.('alive', undefined, undefined, () => undefined);
  }, signOfLifeEveryMs).unref();
}
