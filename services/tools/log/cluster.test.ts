import { execFileSync } from 'node:child_process';
import { appendFile, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { executeTool } from '#services/tools/execute.ts';
import { logTools } from '#services/tools/log/cluster.ts';
import { LineCutter, maximumLineBytes } from '#services/tools/log/lines.ts';
import { failureOf, toolContext } from '#services/tools/tool.conformance.ts';
import type { Tool } from '#services/tools/tool.ts';

const base = await mkdtemp(join(tmpdir(), 'kos-logs-'));
const home = join(base, 'home');
const logs = join(base, 'logs');
const [tool] = logTools({ home }) as [Tool];

interface Output {
  files: string[];
  lines: number;
  bytes: number;
  skipped: { file: string; reason: string }[];
  truncated: boolean;
  unlisted: { clusters: number; lines: number };
  clusters: { id: string; template: string; count: number; level: string; firstLine: number; samples: string[]; files: string[] }[];
}
const settings = { roots: [{ path: logs, write: false }], egress: [] };
const cluster = async (input: Record<string, unknown>, signal = new AbortController().signal): Promise<Output> =>
  (await executeTool(tool, { path: logs, ...input }, toolContext(settings, { signal }))) as unknown as Output;

beforeAll(async () => {
  await mkdir(join(logs, 'web'), { recursive: true });
  await mkdir(join(logs, 'empty'));
  await mkdir(join(home, 'keys'), { recursive: true });
  await writeFile(join(home, 'cli.json'), 'ERROR OWNER-KEY\n');
  await writeFile(
    join(logs, 'app.log'),
    '2026-05-20T10:00:00Z INFO job 1 done\n2026-05-20T11:00:00Z ERROR job 2 broke\n    at run (/app/x.js:1:2)\n\n2026-05-20T12:00:00Z INFO job 3 done',
  );
  await writeFile(join(logs, 'app.log.1.gz'), gzipSync('2026-05-19T10:00:00Z INFO job 4 done\r\n'));
  await writeFile(join(logs, 'web', 'api.jsonl'), '{"level":40,"msg":"slow request of 900 ms"}\n{"level":40,"msg":"slow request of 1200 ms"}\n');
  await writeFile(join(logs, 'wtmp'), Buffer.alloc(400));
  await writeFile(join(logs, 'broken.gz'), gzipSync('x'.repeat(10_000)).subarray(0, 20));
  await symlink(join(home, 'cli.json'), join(logs, 'key.log'));
});
afterAll(() => rm(base, { recursive: true, force: true }));

describe('log.cluster', () => {
  it('groups the lines of all files below a folder, compressed and structured ones too', async () => {
    const output = await cluster({});
    expect(output.clusters.map(({ level, count, template, files }) => ({ level, count, template, files }))).toEqual([
      { level: 'error', count: 1, template: 'ERROR job <num> broke', files: ['app.log'] },
      { level: 'warn', count: 2, template: 'slow request of <num> ms', files: ['web/api.jsonl'] },
      { level: 'info', count: 3, template: 'INFO job <num> done', files: ['app.log', 'app.log.1.gz'] },
    ]);
    expect(output.files).toEqual(['app.log', 'app.log.1.gz', 'web/api.jsonl']);
    expect(output).toMatchObject({ lines: 8, truncated: false, unlisted: { clusters: 0, lines: 0 } });
    expect(output.clusters[0]).toMatchObject({ firstLine: 2, samples: ['2026-05-20T11:00:00Z ERROR job 2 broke'] });
  });

  it('says what it left out and why, and follows no link', async () => {
    const { skipped, clusters } = await cluster({});
    expect(skipped.map(({ file }) => file)).toEqual(['broken.gz', 'wtmp']);
    expect(skipped[1]?.reason).toBe('binary');
    expect(JSON.stringify(clusters)).not.toContain('OWNER-KEY');
  });

  it('takes one file, a pattern, a time', async () => {
    expect((await cluster({ path: join(logs, 'app.log') })).clusters).toHaveLength(2);
    expect((await cluster({ glob: '*.jsonl' })).files).toEqual(['web/api.jsonl']);
    const late = await cluster({ path: join(logs, 'app.log'), since: '2026-05-20T10:30:00Z' });
    expect(late.clusters.map(({ count }) => count)).toEqual([1, 1]);
    const old = new Date('2020-01-01T00:00:00Z');
    await writeFile(join(logs, 'empty', 'old.log'), 'INFO x\n');
    await utimes(join(logs, 'empty', 'old.log'), old, old);
    expect((await cluster({ path: join(logs, 'empty'), since: '2026-01-01T00:00:00Z' })).skipped).toEqual([
      { file: 'old.log', reason: 'not changed since then' },
    ]);
    await rm(join(logs, 'empty', 'old.log'));
  });

  it('has nothing to say about an empty folder, and fails on a missing path', async () => {
    expect(await cluster({ path: join(logs, 'empty') })).toMatchObject({ clusters: [], files: [], lines: 0, bytes: 0, truncated: false });
    expect(await failureOf(tool, { path: join(logs, 'missing') }, toolContext(settings))).toMatchObject({ code: 'not_found' });
    expect(await failureOf(tool, { path: join(logs, 'key.log') }, toolContext(settings))).toMatchObject({ code: 'path_refused' });
    expect(await failureOf(tool, { path: join(logs, 'broken.gz') }, toolContext(settings))).toMatchObject({ effect: 'none' });
  });

  it('lists the worst and says how much it does not list', async () => {
    expect(await cluster({ maxClusters: 1 })).toMatchObject({ unlisted: { clusters: 2, lines: 5 } });
    expect(await cluster({ maxBytes: 50 })).toMatchObject({ truncated: true, bytes: 50 });
  });

  it('gives the same ids every time', async () => {
    const [first, second] = [await cluster({}), await cluster({})];
    expect(first).toEqual(second);
  });
});

describe('a large log', () => {
  const blockBytes = 4_000_000;
  const path = join(logs, 'large', 'large.log');

  beforeAll(async () => {
    await mkdir(join(logs, 'large'));
    let block = '';
    for (let index = 0; block.length < blockBytes; index += 1) {
      const word = index.toString(36).replaceAll(/\d/g, 'q');
      block += `2026-05-20T10:00:00Z INFO ${word} request ${index} from 10.0.${index % 250}.9 took ${index % 900} ms\n{"level":50,"msg":"query ${index} failed"}\n`;
    }
    for (let written = 0; written < 100_000_000; written += block.length) await appendFile(path, block);
  });

  it('of 100 MB is read in bounded memory', () => {
    const program = `
      import { logTools } from '#services/tools/log/cluster.ts';
      import { executeTool } from '#services/tools/execute.ts';
      const context = { signal: new AbortController().signal, settings: { roots: [{ path: ${JSON.stringify(logs)}, write: false }], egress: [] } };
      const output = await executeTool(logTools({ home: ${JSON.stringify(home)} })[0], { path: ${JSON.stringify(path)} }, context);
      console.log(JSON.stringify({ bytes: output.bytes, top: output.clusters[0], maxRssKilobytes: process.resourceUsage().maxRSS }));`;
    // 32 MB of heap are enough for code and templates: nothing grows with the file.
    const printed = execFileSync(process.execPath, ['--max-old-space-size=32', '--input-type=module', '--eval', program], {
      cwd: join(import.meta.dirname, '../../..'),
      encoding: 'utf8',
    });
    const { bytes, top, maxRssKilobytes } = JSON.parse(printed) as { bytes: number; top: { template: string; level: string }; maxRssKilobytes: number };
    expect(bytes).toBeGreaterThanOrEqual(100_000_000);
    expect(top).toMatchObject({ level: 'error', template: 'query <num> failed' });
    expect(maxRssKilobytes).toBeLessThan(250_000);
  });

  it('lets timers run meanwhile, and ends at once when it is stopped', async () => {
    const controller = new AbortController();
    let longestGapMs = 0;
    let last = performance.now();
    const ticking = setInterval(() => {
      longestGapMs = Math.max(longestGapMs, performance.now() - last);
      last = performance.now();
    }, 5);
    const call = cluster({ path }, controller.signal).catch((error: unknown) => error);
    await new Promise((resolve) => setTimeout(resolve, 300));
    controller.abort();
    const stopped = performance.now();
    expect(await call).toMatchObject({ code: 'tool_cancelled' });
    clearInterval(ticking);
    expect(performance.now() - stopped).toBeLessThan(5_000);
    // Heartbeats are seconds apart; a machine under load may stall a process for tens of milliseconds by itself.
    expect(longestGapMs).toBeLessThan(2_000);
  });
});

describe('LineCutter', () => {
  const cut = (...chunks: Buffer[]): string[] => {
    const lines: string[] = [];
    const cutter = new LineCutter((line) => lines.push(line));
    for (const chunk of chunks) cutter.push(chunk);
    cutter.finish();
    return lines;
  };

  it('joins lines and characters that chunks cut apart', () => {
    const text = Buffer.from('one\r\ntwö\n\nlast');
    for (let at = 0; at <= text.length; at += 1) expect(cut(text.subarray(0, at), text.subarray(at))).toEqual(['one', 'twö', '', 'last']);
  });

  it('keeps only the start of a line without end', () => {
    const lines = cut(...Array.from({ length: 100 }, () => Buffer.alloc(10_000, 'x')), Buffer.from('\nnext\n'));
    expect(lines.map((line) => line.length)).toEqual([maximumLineBytes, 4]);
  });
});
