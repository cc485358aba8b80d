import { randomUUID } from 'node:crypto';
import type { Installation } from './installation.ts';
import { chainLength } from './plans.ts';
import type { Sink } from './sink.ts';

/** A run that was accepted, and what it should leave in the world. */
export interface Load {
  kind: 'fan-out' | 'fetch' | 'send' | 'chain' | 'approval' | 'timer';
  runId: string;
  /** Effects that it should leave. */
  items: number;
  /** When the answer came that it is accepted, ms since 1970. */
  acceptedAt: number;
}

export interface Wanted {
  kind: Load['kind'];
  /** Items of a fan-out; others have as many as their plan says. */
  count?: number;
  /** Of a timer. */
  forMs?: number;
}

/** Accepted once, however often the request has to be repeated: the key is the same. */
export async function startLoad(installation: Installation, sink: Sink, wanted: Wanted): Promise<Load> {
  const { kind, count = 1, forMs = 0 } = wanted;
  const key = randomUUID();
  const input =
    kind === 'fan-out'
      ? { count }
      : kind === 'timer'
        ? { sink: sink.url, forMs }
        : kind === 'fetch' || kind === 'send'
          ? { sink: sink.url, count }
          : { sink: sink.url };
  const started = await installation.patiently((client) =>
    client.runs.start({ plan: kind === 'fan-out' ? kind : `chaos-${kind}`, input, labels: { chaos: key } }, key),
  );
  return { kind, runId: started.id, items: kind === 'chain' ? chainLength : count, acceptedAt: Date.now() };
}
