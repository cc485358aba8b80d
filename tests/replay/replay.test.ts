import { describe, expect, it } from 'vitest';
import { projectRoot } from '#config';
import { replayHistories } from '#tests/rig/replay.ts';
import { ensureWorkflowBundle } from '#workers/bundle/workflow-bundle.ts';
import { historiesNamespace, storedHistories } from './stored-histories.ts';
import { stories } from './stories.ts';

describe('histories that were made before', () => {
  it("replay against today's workflow code", async () => {
    const bundle = await ensureWorkflowBundle(projectRoot);
    expect(await replayHistories({ bundle, namespace: historiesNamespace }, storedHistories())).toBeGreaterThanOrEqual(stories.length);
  });

  it('hold every kind of command and message', async () => {
    const kinds = new Set<string>();
    for await (const { history } of storedHistories()) {
      for (const event of history.events ?? []) {
        const kind = Object.keys(event).find((key) => key.endsWith('EventAttributes') && event[key as keyof typeof event] !== null);
        if (kind !== undefined) kinds.add(kind.replace('EventAttributes', ''));
      }
    }
    const wanted = [
      'activityTaskScheduled',
      'markerRecorded',
      'activityTaskCancelRequested',
      'timerFired',
      'workflowExecutionSignaled',
      'workflowExecutionContinuedAsNew',
      'childWorkflowExecutionStarted',
    ];
    for (const kind of [...wanted, 'externalWorkflowExecutionSignaled', 'workflowExecutionCompleted']) expect([...kinds]).toContain(kind);
  });
});
