import type { Counter, Gauge, Registry } from 'prom-client';
import { runStatuses } from '#schemas/run.ts';
import type { SystemDatabase } from '#services/database/connect.ts';
import { type Figures, readFigures } from '#services/installation/figures.ts';
import type { StreamKind } from './stream-losses.ts';

export type MetricsReader = () => Promise<{ text: string; mediaType: string }>;

/** What this process alone can tell of its streams. */
export interface StreamFigures {
  open: () => number;
  /** Of clients that took nothing, by how they read. */
  dropped: () => Readonly<Record<StreamKind, number>>;
}

interface Shown {
  registry: Registry;
  show: (figures: Figures, streams: StreamFigures) => void;
}

/** Figures are read from the database when they are asked for: they hold for the installation, whichever process answers. */
export function createMetrics(system: SystemDatabase, streams: StreamFigures): MetricsReader {
  let gauges: Promise<Shown> | undefined;
  return async () => {
    gauges ??= makeGauges();
    const { registry, show } = await gauges;
    show(await readFigures(system), streams);
    return { text: await registry.metrics(), mediaType: registry.contentType };
  };
}

/** Loaded at the first question: most installations never ask, and the process's own figures cost memory from when they are collected. */
async function makeGauges(): Promise<Shown> {
  const { collectDefaultMetrics, Counter, Gauge, Registry } = await import('prom-client');
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, registers: [registry] });
  const runs = new Gauge({ name: 'kos_runs', help: 'Runs by status', labelNames: ['status'] as const, registers: [registry] });
  const outboxDepth = gauge('kos_outbox_depth', 'Messages to Temporal that have not been taken yet');
  const outboxAge = gauge('kos_outbox_oldest_seconds', 'Age of the oldest of them');
  const sequencerLag = gauge('kos_sequencer_lag_events', 'Committed events without a number');
  const openApprovals = gauge('kos_open_approvals', 'Approvals that wait for a decision');
  const eventStreams = gauge('kos_event_streams', 'Clients that watch a run through this process');
  const dropped = new Counter({
    name: 'kos_event_streams_dropped_total',
    help: 'Clients of this process that were sent away because they took nothing',
    labelNames: ['kind'] as const,
    registers: [registry],
  });
  return {
    registry,
    show: (figures, streams) => {
      for (const status of runStatuses) runs.set({ status }, figures.runs[status] ?? 0);
      outboxDepth.set(figures.outboxDepth);
      outboxAge.set(figures.outboxOldestSeconds);
      sequencerLag.set(figures.unnumberedEvents);
      openApprovals.set(figures.openApprovals);
      eventStreams.set(streams.open());
      for (const [kind, count] of Object.entries(streams.dropped())) advance(dropped, kind, count);
    },
  };
}

/** A counter that somebody else counts: it is set anew with every look. */
function advance(counter: Counter<'kind'>, kind: string, count: number): void {
  counter.remove(kind);
  counter.inc({ kind }, count);
}
