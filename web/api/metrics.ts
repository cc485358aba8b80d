import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { runStatuses } from '#schemas/run.ts';
import type { SystemDatabase } from '#services/database/connect.ts';
import { readFigures } from '#services/installation/figures.ts';

/** Figures are read from the database when they are asked for: they hold for the installation, whichever process answers. */
export function createMetrics(system: SystemDatabase, watchers: () => number): () => Promise<{ text: string; mediaType: string }> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, registers: [registry] });
  const runs = new Gauge({ name: 'kos_runs', help: 'Runs by status', labelNames: ['status'] as const, registers: [registry] });
  const outboxDepth = gauge('kos_outbox_depth', 'Messages to Temporal that have not been taken yet');
  const outboxAge = gauge('kos_outbox_oldest_seconds', 'Age of the oldest of them');
  const sequencerLag = gauge('kos_sequencer_lag_events', 'Committed events without a number');
  const openApprovals = gauge('kos_open_approvals', 'Approvals that wait for a decision');
  const streams = gauge('kos_event_streams', 'Clients that watch a run through this process');
  return async () => {
    const figures = await readFigures(system);
    for (const status of runStatuses) runs.set({ status }, figures.runs[status] ?? 0);
    outboxDepth.set(figures.outboxDepth);
    outboxAge.set(figures.outboxOldestSeconds);
    sequencerLag.set(figures.unnumberedEvents);
    openApprovals.set(figures.openApprovals);
    streams.set(watchers());
    return { text: await registry.metrics(), mediaType: registry.contentType };
  };
}
