import { on } from 'node:events';
import { createParser } from 'eventsource-parser';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { EventEnvelope, EventType } from '#schemas/event.ts';
import { workspaceSettingsSchema } from '#schemas/settings.ts';
import { pruneEvents } from '#services/duties/pruning.ts';
import { recordEvents } from '#services/records/record.ts';
import { makeTestApi, type TestApi } from '#tests/rig/test-api.ts';
import { insertRun } from '#tests/rig/test-runs.ts';

let api: TestApi;

beforeAll(async () => {
  api = await makeTestApi();
});

afterAll(() => api.close());

/** A workspace of a case's own: what one has lost is nothing to another. */
interface Place {
  workspaceId: string;
  apiKey: string;
}

async function makePlace(): Promise<Place> {
  const workspaceId = await api.makeWorkspace();
  return { workspaceId, apiKey: (await api.makeKey({ roles: ['owner'], workspaceId })).apiKey };
}

const makeRun = ({ workspaceId }: Place, status: 'running' | 'succeeded') =>
  api.rig.database.inWorkspace(workspaceId, (transaction) => insertRun(transaction, { workspaceId, status }));

/** The position of an event, once it has one. */
async function positionOf(runId: string, type: EventType): Promise<string> {
  for (;;) {
    const [row] = await api.rig.system.sql<{ position: string }[]>`
      select (select epoch from kos.sequencer) || '-' || seq as position from kos.events where run_id = ${runId} and type = ${type} and seq is not null`;
    if (row !== undefined) return row.position;
  }
}

async function record({ workspaceId }: Place, runId: string, type: EventType): Promise<string> {
  await api.rig.database.inWorkspace(workspaceId, ({ sql }) => recordEvents(sql, [{ workspaceId, runId, type, data: {} }]));
  return positionOf(runId, type);
}

/** Retention comes by, a month after everything that is there. */
async function prune({ workspaceId }: Place): Promise<void> {
  await api.rig.system.sql`update kos.events set at = now() - interval '10 years' where workspace_id = ${workspaceId}`;
  await pruneEvents(api.rig.system, { workspaceId, retention: workspaceSettingsSchema.parse({}).retention });
}

interface Told {
  type: string;
  position: string | null;
  reason?: unknown;
}

type Read = (place: Place, options: { after?: string; run?: string; count: number }) => Promise<Told[]>;

/** Both without what only opens the stream. */
const ways: Record<string, Read> = {
  'server-sent events': async ({ apiKey }, { after, run, count }) => {
    const hangUp = new AbortController();
    const path = run === undefined ? '/v1/events' : `/v1/runs/${run}/events`;
    const headers = { authorization: `Bearer ${apiKey}`, accept: 'text/event-stream', ...(after === undefined ? {} : { 'last-event-id': after }) };
    const response = await fetch(api.url + path, { headers, signal: hangUp.signal });
    const told: Told[] = [];
    const parser = createParser({
      onEvent: ({ event, id, data }) =>
        told.push({ type: event ?? '', position: id ?? null, ...(event === 'reset' ? (JSON.parse(data) as { reason: string }) : {}) }),
    });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    while (told.length < count) parser.feed((await reader.read()).value ?? '');
    hangUp.abort();
    return told;
  },
  'a WebSocket': async ({ apiKey }, { after, run, count }) => {
    const query = new URLSearchParams({ ...(after === undefined ? {} : { after }), ...(run === undefined ? {} : { run }) });
    const socket = new WebSocket(`${api.url.replace('http', 'ws')}/v1/ws?${query.toString()}`, { headers: { authorization: `Bearer ${apiKey}` } });
    const told: Told[] = [];
    const isReady = after === undefined && run === undefined;
    for await (const [message] of on(socket, 'message') as AsyncIterable<[Buffer]>) {
      const { type, position, payload } = JSON.parse(message.toString()) as EventEnvelope;
      if (type !== 'ready' || isReady) told.push({ type, position, ...(type === 'reset' ? { reason: payload['reason'] } : {}) });
      if (told.length === count) break;
    }
    socket.terminate();
    return told;
  },
};

describe.for(Object.keys(ways))('who comes back by %s', (way) => {
  const read = ways[way]!;

  it('and has missed what retention has removed since is told so, and starts over with what is kept', async () => {
    const place = await makePlace();
    const open = await makeRun(place, 'running');
    const seen = await positionOf(open, 'run.accepted');
    const ended = await makeRun(place, 'succeeded');
    const missed = await positionOf(ended, 'run.accepted');
    const kept = await record(place, open, 'run.started');
    await prune(place);
    // The event that was seen last is kept, for its run is open; the one after it is not.
    const reset = { type: 'reset', position: null, reason: 'beyond_retention' };
    const rest = [
      { type: 'run.accepted', position: seen },
      { type: 'run.started', position: kept },
    ];
    expect(await read(place, { after: seen, count: 3 })).toEqual([reset, ...rest]);
    // Whoever had seen the removed one has missed nothing.
    expect(await read(place, { after: missed, count: 1 })).toEqual([{ type: 'run.started', position: kept }]);
    // Nor has who reads the open run alone.
    expect(await read(place, { run: open, after: seen, count: 1 })).toEqual([{ type: 'run.started', position: kept }]);
  });

  it('to a run of which retention has removed the first events is told so', async () => {
    const place = await makePlace();
    const runId = await makeRun(place, 'succeeded');
    const seen = await positionOf(runId, 'run.accepted');
    await prune(place);
    const last = await record(place, runId, 'run.succeeded');
    expect(await read(place, { run: runId, after: seen, count: 1 })).toEqual([{ type: 'run.succeeded', position: last }]);
    const older = `${seen.slice(0, seen.lastIndexOf('-'))}-${Number(seen.slice(seen.lastIndexOf('-') + 1)) - 1}`;
    expect(await read(place, { run: runId, after: older, count: 2 })).toEqual([
      { type: 'reset', position: null, reason: 'beyond_retention' },
      { type: 'run.succeeded', position: last },
    ]);
  });

  it('with an event of a run that somebody deleted goes on, and is told of no loss', async () => {
    const place = await makePlace();
    const [gone, open] = [await makeRun(place, 'succeeded'), await makeRun(place, 'running')];
    const first = await positionOf(gone, 'run.accepted');
    const second = await positionOf(open, 'run.accepted');
    const answer = await api.call('DELETE', `/v1/runs/${gone}`, { apiKey: place.apiKey });
    expect(answer.status, answer.text).toBeLessThan(300);
    expect(await read(place, { after: first, count: 1 })).toEqual([{ type: 'run.accepted', position: second }]);
  });

  it('with a position that it was given when all before had been removed goes on', async () => {
    const place = await makePlace();
    await positionOf(await makeRun(place, 'succeeded'), 'run.accepted');
    await prune(place);
    const [ready] = await read(place, { count: 1 });
    const next = await positionOf(await makeRun(place, 'running'), 'run.accepted');
    expect(await read(place, { after: ready?.position ?? '', count: 1 })).toEqual([{ type: 'run.accepted', position: next }]);
  });
});
