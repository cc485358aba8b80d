import { setTimeout as sleep } from 'node:timers/promises';
import { validateJson } from '#core/plan/json-schema.ts';
import { decideApproval } from '#services/approvals/decide.ts';
import { readApproval } from '#services/approvals/read.ts';
import { pauseRun, resumeRun } from '#services/runs/actions/pause.ts';
import { newId } from '#services/ids.ts';
import { insertDeliveries } from '#services/outgoing/deliveries.ts';
import { enableReceiver } from '#services/outgoing/receivers.ts';
import { createFixedSealing } from '#services/sealing/sealing.ts';
import { sendSignal } from '#services/signals/send.ts';
import { createWebhook } from '#services/webhooks/change.ts';
import { createWebhookSchema } from '#schemas/webhook.ts';
import type { TestEngine } from '#tests/rig/test-engine.ts';
import { makeTestSchedules } from '#tests/rig/test-schedules.ts';

/** What a run's workflow can live through. Together their histories hold every command and every message of it. */
export interface Story {
  name: string;
  tell: (engine: TestEngine) => Promise<string>;
}

const run = async (engine: TestEngine, source: string): Promise<string> => (await engine.run(source)).id;

export const stories: Story[] = [
  {
    name: 'steps',
    tell: (engine) =>
      run(
        engine,
        `
plan: steps
steps:
  first: { transform: 1, when: "\${false}" }
  skipped: { transform: "\${steps.first.output}" }
  retried: { tool: test.fail, with: { times: 1 }, retry: { initialDelayMs: 20 } }
  items: { tool: test.rest, with: { waitMs: 1 }, forEach: "\${range(8)}", concurrency: 3, needs: [retried] }
  pause: { wait: { forMs: 50 }, needs: [items] }
  chain: { transform: "\${size(steps.items.output)}", needs: [pause] }
  last: { transform: "\${steps.chain.output + 1}" }
output: "\${steps.last.output}"
`,
      ),
  },
  {
    name: 'quick',
    tell: (engine) =>
      run(
        engine,
        `
plan: quick
fuse: effects
steps:
  one: { transform: 1 }
  two: { transform: "\${steps.one.output + 1}" }
  ask: { wait: { forMs: 20 }, needs: [two] }
  beside: { transform: 3 }
  further: { transform: "\${steps.beside.output}", needs: [beside, ask] }
  three: { tool: test.repeat, with: { file: "${engine.home}/quick.txt", waitMs: 1500 }, needs: [ask] }
  four: { transform: "\${steps.two.output + 1}", needs: [three] }
output: "\${steps.four.output}"
`,
      ),
  },
  {
    name: 'quick-items',
    tell: (engine) =>
      run(
        engine,
        `
plan: quick-items
steps:
  few: { transform: "\${item + 1}", forEach: "\${range(20)}" }
  many: { transform: "\${item}", forEach: "\${range(520)}", needs: [few] }
  slow: { tool: test.think, with: { waitMs: 200, value: "\${item}" }, forEach: "\${range(6)}", needs: [few] }
  fails: { transform: "\${1 / item}", forEach: [1, 0], onItemError: continue, retry: { maxAttempts: 2, initialDelayMs: 20 } }
output: "\${size(steps.many.output)}"
`,
      ),
  },
  {
    name: 'outgoing',
    tell: async (engine) => {
      const { principal } = await makeTestSchedules(engine);
      const { workspaceId, rig } = engine;
      // A host that is not allowed: the try is refused and made again, until nobody wants it any more.
      const wanted = createWebhookSchema.parse({ name: 'told', url: 'http://127.0.0.1:9/told', events: ['run.failed'] });
      const sealing = createFixedSealing({ purpose: 'secret', key: Buffer.alloc(32, 3) });
      const { id } = await rig.database.inWorkspace(workspaceId, (transaction) => createWebhook(transaction, sealing, principal, wanted));
      const event = { workspaceId, targetId: id, eventId: newId('event'), type: 'run.failed', runId: null, body: '{}' };
      await rig.database.inWorkspace(workspaceId, ({ sql }) => insertDeliveries(sql, [event]));
      const delivery = async () =>
        (
          await rig.system.sql<{ id: string; status: string; tries: number }[]>`
        select id, status, jsonb_array_length(tries) as tries from kos.outgoing_deliveries where target_id = ${id}`
        )[0];
      const deliveryId = (await delivery())?.id ?? '';
      await engine.workflows.outgoing.start({ workspaceId, deliveryId });
      while ((await delivery())?.tries === 0) await sleep(50);
      await rig.database.inWorkspace(workspaceId, (transaction) =>
        enableReceiver(transaction, { kind: 'webhook', workspaceId, actor: principal.principalId, id, enabled: false, note: null }),
      );
      while ((await delivery())?.status === 'pending') await sleep(50);
      return deliveryId;
    },
  },
  {
    name: 'approved',
    tell: async (engine) => {
      const runId = await engine.start(
        await engine.save('plan: approved\nsteps:\n  ask: { approval: { for: [act] } }\n  act: { transform: done }\n  beside: { wait: { forMs: 100 } }\n'),
      );
      await engine.untilStep(runId, 'ask', 'waiting');
      await engine.rig.database.inWorkspace(engine.workspaceId, async (transaction) => {
        const [row] = await transaction.sql<{ id: string }[]>`select id from kos.approvals where run_id = ${runId}`;
        const approval = await readApproval(transaction, row?.id ?? '');
        const approver = {
          principalId: 'prn_a',
          name: 'a',
          workspaceId: engine.workspaceId,
          credentialId: 'key_a',
          responsible: 'prn_a',
          roles: ['approver' as const],
          permissions: new Set<never>(),
          via: 'api_key' as const,
          scopes: null,
          installationRole: null,
        };
        await decideApproval(transaction, approver, approval.id, { decision: 'approve', argumentsDigest: approval.argumentsDigest });
      });
      engine.nudge();
      await engine.ended(runId);
      return runId;
    },
  },
  {
    name: 'failed',
    tell: (engine) =>
      run(
        engine,
        'plan: failed\nsteps:\n  bad: { tool: test.fail, with: { times: 9 }, retry: { maxAttempts: 2, initialDelayMs: 10 } }\n  beside: { tool: test.rest, with: { waitMs: 200 } }\n  after: { transform: 1, needs: [beside] }\n',
      ),
  },
  {
    name: 'timed-out',
    tell: (engine) => run(engine, 'plan: timed-out\ntimeoutMs: 500\nsteps:\n  long: { tool: test.rest, with: { waitMs: 60000 } }\n'),
  },
  {
    name: 'cancelled-windows',
    tell: async (engine) => {
      const source =
        'plan: cancelled-windows\nsteps:\n  each: { tool: test.rest, with: { waitMs: "${index < 6 ? 1 : 60000}" }, forEach: "${range(1100)}", concurrency: 6 }\n';
      const runId = await engine.start(await engine.save(source));
      await engine.untilStep(runId, 'each[0]', 'succeeded');
      await sleep(300);
      await engine.cancel(runId);
      await engine.ended(runId);
      return runId;
    },
  },
  {
    name: 'continued',
    tell: (engine) =>
      run(
        engine,
        'plan: continued\nfuse: none\nsteps:\n  each: { transform: "${item}", forEach: "${range(260)}", concurrency: 40 }\n  last: { transform: "${size(steps.each.output)}" }\n',
      ),
  },
  {
    name: 'repeat',
    tell: (engine) =>
      run(
        engine,
        `
plan: repeat
steps:
  many: { transform: "\${iteration}", repeat: { until: "\${iteration == 450}", maxIterations: 1000 } }
  poll: { tool: test.fail, with: { times: "\${iteration}" }, retry: { initialDelayMs: 300 }, repeat: { while: "\${iteration < 2}", maxIterations: 9, everyMs: 300 }, needs: [many] }
  each: { transform: "\${item * iteration}", forEach: [1, 2, 3], repeat: { until: "\${iteration == index}", maxIterations: 9, everyMs: 300 }, needs: [poll] }
output: "\${steps.each.output}"
`,
      ),
  },
  {
    name: 'undone',
    tell: (engine) =>
      run(
        engine,
        `
plan: undone
steps:
  each: { tool: test.rest, with: { waitMs: 1 }, forEach: [1, 2], undo: { tool: test.fail, with: { times: 1 }, retry: { initialDelayMs: 20 } } }
  then: { tool: test.rest, with: { waitMs: 1 }, needs: [each], undo: { tool: test.rest, with: { waitMs: "\${output.at > 0 ? 1 : 2}" } } }
  last: { tool: test.fail, with: { times: 9 }, retry: { maxAttempts: 1 }, needs: [then] }
`,
      ),
  },
  {
    name: 'signals',
    tell: async (engine) => {
      const runId = await engine.start(
        await engine.save(`
plan: signals
steps:
  early: { signal: { name: early, expiresInMs: 60000 } }
  each: { signal: { name: "part-\${item}", expiresInMs: 60000 }, forEach: [1, 2, 3], needs: [early] }
  never: { signal: { name: never, expiresInMs: 1000 }, onError: { value: none }, needs: [each] }
output: "\${steps.never.output}"
`),
      );
      const send = async (name: string): Promise<void> => {
        await sendSignal(
          { database: engine.rig.database, validateJson: async (schema, value) => validateJson(schema, value) },
          { workspaceId: engine.workspaceId, actor: 'prn_test', runId, signal: { name, payload: 1 } },
        );
        engine.nudge();
      };
      await send('early');
      await engine.untilStep(runId, 'each[2]', 'waiting');
      for (const item of [3, 1, 2]) await send(`part-${item}`);
      await engine.ended(runId);
      return runId;
    },
  },
  {
    name: 'sub-plans',
    tell: async (engine) => {
      await engine.save(
        'plan: half\ninput: { type: object, properties: { n: { type: integer } } }\nsteps:\n  half: { transform: "${input.n / 2}" }\noutput: "${steps.half.output}"\n',
      );
      return await run(
        engine,
        `
plan: sub-plans
steps:
  one: { plan: half, with: { n: 8 } }
  each: { plan: half, with: { n: "\${item}" }, forEach: [2, 4, 6], concurrency: 2, needs: [one] }
output: "\${steps.each.output}"
`,
      );
    },
  },
  {
    name: 'paused',
    tell: async (engine) => {
      const runId = await engine.start(
        await engine.save(
          'plan: paused\nsteps:\n  rest: { tool: test.rest, with: { waitMs: 700 } }\n  next: { tool: test.rest, with: { waitMs: 1 }, needs: [rest] }\n',
        ),
      );
      await engine.untilStep(runId, 'rest', 'running');
      await engine.act(runId, (transaction, change) => pauseRun(transaction, { ...change, reason: null }));
      await engine.untilStep(runId, 'rest', 'succeeded');
      await sleep(500);
      await engine.act(runId, (transaction, change) => resumeRun(transaction, { ...change, reason: null }));
      await engine.ended(runId);
      return runId;
    },
  },
  {
    name: 'looks',
    tell: async (engine) => {
      await engine.save(
        'plan: next\ninput: { type: object, properties: { n: { type: integer } } }\nsteps:\n  next: { transform: "${input.n + 1}" }\noutput: "${steps.next.output}"\n',
      );
      return await run(
        engine,
        `
plan: looks
steps:
  ready: { wait: { check: { tool: test.fail, with: { times: 2 }, retry: { initialDelayMs: 100 } }, until: "\${check.output.attempt > 2}", everyMs: 200 } }
  grow: { plan: next, with: { n: "\${last == null ? 0 : last}" }, repeat: { until: "\${output == 3}", maxIterations: 9, everyMs: 100 }, needs: [ready] }
output: "\${steps.grow.output}"
`,
      );
    },
  },
];
