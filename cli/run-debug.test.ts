import { afterEach, expect, test } from 'vitest';
import type { RunDebug } from '#schemas/debug.ts';
import { type FixtureServer, startFixtureServer } from '#tests/kai/fixture-server.ts';
import { type KaiResult, makeHome, runKai } from '#tests/kai/run-kai.ts';
import { runId } from '#tests/kai/shapes.ts';

let server: FixtureServer;

async function kai(words: string[], answer: RunDebug): Promise<KaiResult> {
  server = await startFixtureServer({ 'GET /v1/runs/{id}/debug': () => ({ json: answer }) });
  return await runKai(words, { home: await makeHome(server) });
}

afterEach(async () => {
  await server.close();
});

const at = '2026-01-01T12:00:00.000Z';
const stuck: RunDebug = {
  runId,
  state: 'kept',
  text: 'Temporal knows this run.',
  opened: true,
  pollers: { workflows: [], activities: [{ identity: '12@here', lastSeenAt: at }] },
  executions: [
    {
      workflowId: runId,
      execution: 'e1',
      type: 'planRun',
      status: 'running',
      startedAt: at,
      closedAt: null,
      historyEvents: 12,
      historyBytes: 3_000,
      pendingActivities: [
        {
          activityId: '3',
          type: 'executeUnit',
          steps: ['pay'],
          state: 'scheduled',
          attempt: 4,
          scheduledAt: at,
          lastStartedAt: at,
          lastHeartbeatAt: null,
          nextAttemptAt: null,
          lastWorker: '12@here',
          lastFailure: [
            { code: 'activity_failure', message: 'it failed', stackTrace: null },
            { code: 'ECONNREFUSED', message: 'no database', stackTrace: null },
          ],
        },
      ],
      pendingChildren: [],
      workflowTask: { state: 'started', attempt: 2, scheduledAt: at, startedAt: at },
      workflowTaskFailures: [{ eventId: 9, at, cause: 'timed_out', failure: [] }],
      callStack: { state: 'shown', text: 'at condition\nat planRun' },
    },
  ],
};

test('run debug shows who polls, what is pending and why it failed, and where the code waits', async () => {
  const { code, stdout } = await kai(['run', 'debug', runId], stuck);
  expect(code).toBe(0);
  const lines = stdout.trimEnd().split('\n');
  expect(lines.map((line) => line.replaceAll(/\d\d:\d\d:\d\d/g, 'TIME'))).toEqual([
    'pollers for decisions: none',
    'pollers for activities: 12@here (TIME)',
    '',
    `${runId}  planRun  running  12 events, 3.0 kB`,
    '  decision started, attempt 2',
    '  activity 3 executeUnit  pay  scheduled, attempt 4  12@here',
    '    activity_failure: it failed',
    '    because of ECONNREFUSED: no database',
    '  decision failed: timed_out  TIME, event 9',
    '  call stack:',
    '    at condition',
    '    at planRun',
  ]);
});

test('run debug says what a reader without history:read is not shown, and is one document as JSON', async () => {
  const told = await kai(['run', 'debug', runId], { ...stuck, opened: false, executions: [] });
  expect(told.stderr).toContain('history:read');
  await server.close();
  const asJson = await kai(['run', 'debug', runId, '--json'], stuck);
  expect(JSON.parse(asJson.stdout)).toEqual(stuck);
});
