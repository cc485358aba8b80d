import { describe, expect, it } from 'vitest';
import { channelKinds } from '#schemas/channel.ts';
import { formOf } from './forms.ts';
import { approvalMessage, digestMessage, failureMessage, missedMessage, uncertainMessage } from './message.ts';

const publicUrl = 'https://kos.example';
const failed = {
  runId: 'run_1',
  eventId: 'evt_1',
  code: 'tool_failed',
  message: '<!channel> *bold* [x](https://evil.example) @everyone & more',
  stepPath: 'send',
  at: '',
};
const message = failureMessage('invoice', failed, publicUrl);

describe('a message to people', () => {
  it('takes the form of each service, with the link', () => {
    expect(formOf('slack', message)).toMatchObject({
      text: 'A run of invoice failed: tool_failed',
      blocks: [{ type: 'header' }, { type: 'section' }, { type: 'actions', elements: [{ url: 'https://kos.example/v1/runs/run_1' }] }],
    });
    expect(formOf('discord', message)).toMatchObject({ embeds: [{ url: 'https://kos.example/v1/runs/run_1' }], allowed_mentions: { parse: [] } });
    expect(formOf('teams', message)).toMatchObject({
      type: 'message',
      attachments: [{ content: { type: 'AdaptiveCard', actions: [{ type: 'Action.OpenUrl', url: 'https://kos.example/v1/runs/run_1' }] } }],
    });
    expect(formOf('url', message)).toMatchObject({ topic: 'run.failed', runId: 'run_1', link: { url: 'https://kos.example/v1/runs/run_1' } });
  });

  it('lets nothing of a stranger’s text format, link or mention', () => {
    const hostile = { ...message, title: failed.message };
    const slack = formOf('slack', hostile) as { text: string; blocks: { text?: { type: string } }[] };
    expect(slack.text).toBe('&lt;!channel&gt; *bold* [x](https://evil.example) @everyone &amp; more');
    expect(slack.blocks.flatMap(({ text }) => text?.type ?? [])).toEqual(['plain_text', 'plain_text']);
    expect(JSON.stringify(formOf('discord', hostile))).not.toMatch(/[^\\]\*bold|[^\\]\[x|[^\\]@everyone/);
    expect(JSON.stringify(formOf('teams', hostile))).not.toContain('"TextBlock"');
  });

  it('is never longer than services take', () => {
    const endless = failureMessage('p'.repeat(64), { ...failed, message: 'x'.repeat(100_000), stepPath: 'y'.repeat(10_000) }, publicUrl);
    for (const kind of channelKinds) expect(JSON.stringify(formOf(kind, endless)).length).toBeLessThan(4_000);
    const slack = formOf('slack', { ...endless, title: 'x'.repeat(1_000) }) as { blocks: { text: { text: string } }[] };
    expect(slack.blocks[0]?.text.text).toHaveLength(150);
  });

  it('says what is to be done', () => {
    expect(digestMessage('invoice', { count: 12, newest: [failed] }, publicUrl)).toMatchObject({
      title: '12 more runs of invoice failed',
      facts: [{ name: 'Runs', value: 'run_1 tool_failed\nand 11 more' }],
      command: 'kai run list --plan invoice --status failed',
    });
    const approval = { approvalId: 'apr_1', runId: 'run_1', plan: 'pay', stepPath: 'ask', from: 'role:approver', expiresAt: null };
    expect(approvalMessage(approval, publicUrl)).toMatchObject({ command: 'kai approval get apr_1', link: { url: 'https://kos.example/v1/approvals/apr_1' } });
    expect(uncertainMessage({ runId: 'run_1', plan: 'pay', stepPath: 'send', message: null }, publicUrl).command).toBe('kai run why run_1');
    const missed = { scheduleId: 'sch_1', name: 'nightly', nominalAt: ['a', 'b', 'c', 'd', 'e', 'f'], reason: null };
    expect(missedMessage(missed, publicUrl)).toMatchObject({ title: 'The schedule nightly missed 6 starts', facts: [{ value: 'a, b, c, d, e, …' }] });
  });
});
