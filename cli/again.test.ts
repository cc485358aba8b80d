import { afterEach, describe, expect, test } from 'vitest';
import type { RunOffers } from '#schemas/again.ts';
import { kaiWithServer } from '#tests/kai/kai-with-server.ts';
import { aPlan, aRun, page, runId } from '#tests/kai/shapes.ts';

const { kai, close } = kaiWithServer();
afterEach(close);

const request = { method: 'POST', path: '/v1/runs', body: {}, needsIdempotencyKey: true } as const;
const offer = (action: 'again' | 'start' | 'schedule', allowed = true) => ({
  action,
  text: `do ${action}`,
  allowed,
  request,
  kai: `kai ${action}`,
  curl: `curl ${action}`,
  typescript: `await ${action}();\nconst after = 1;`,
});
const offers: RunOffers = { runId, offers: [offer('again'), offer('start'), offer('schedule', false)], note: null };
const routes = { 'GET /v1/runs/{id}/again': () => ({ json: offers }) };

describe('kai run again', () => {
  test('lists what can be made of the run, and what you may not', async () => {
    expect((await kai(['run', 'again', runId], routes)).stdout).toBe(
      '# do again\nkai again\n\n# do start\nkai start\n\n# do schedule (you may not)\nkai schedule\n',
    );
  });

  test('prints one of them alone, to copy', async () => {
    expect((await kai(['run', 'again', runId, '--as', 'curl'], routes)).stdout).toBe('curl start\n');
    expect((await kai(['run', 'again', runId, '--of', 'schedule', '--as', 'typescript'], routes)).stdout).toBe('await schedule();\nconst after = 1;\n');
    expect(JSON.parse((await kai(['run', 'again', runId, '--of', 'again', '--json'], routes)).stdout)).toEqual({ ...offers, offers: [offer('again')] });
  });

  test('says why one is missing', async () => {
    const few = () => ({ json: { ...offers, offers: [offer('again')], note: 'The input is too large.' } });
    const { code, stderr } = await kai(['run', 'again', runId, '--as', 'curl'], { 'GET /v1/runs/{id}/again': few });
    expect({ code, stderr }).toEqual({ code: 6, stderr: `error: The input is too large.\nfix: Run it again as it was: kai run replay ${runId}\n` });
  });

  test('is named where a run has ended', async () => {
    const of = (run: object) => ({
      'GET /v1/runs/{id}': () => ({ json: run }),
      'GET /v1/runs/{id}/steps': () => ({ json: page() }),
      'GET /v1/plans/{name}/versions/{version}': () => ({ json: aPlan() }),
    });
    const ended = await kai(['run', 'get', runId], of(aRun({ status: 'succeeded', finishedAt: '2026-01-01T12:00:01.000Z' })));
    expect(ended.stderr).toContain(`kai run again ${runId}`);
    expect((await kai(['run', 'get', runId], of(aRun()))).stderr).not.toContain('kai run again');
  });
});
