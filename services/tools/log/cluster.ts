import { z } from 'zod';
import { defineTool } from '#services/tools/define.ts';
import { absolutePath, type Boundary, readBoundary } from '#services/tools/files/boundary.ts';
import { fileFailure } from '#services/tools/files/failures.ts';
import { openFile } from '#services/tools/files/opening.ts';
import { filesBelow, type FoundFile, pathInput } from '#services/tools/files/reading.ts';
import type { SkippedPlace } from '#services/tools/files/walking.ts';
import { clusterId, Drain, templateOf } from '#services/tools/log/drain.ts';
import { logLevels } from '#services/tools/log/level.ts';
import { contentOf, LineCutter, looksBinary } from '#services/tools/log/lines.ts';
import { maskedTokens } from '#services/tools/log/mask.ts';
import { isContinuation, readRecord, timeToMs } from '#services/tools/log/record.ts';
import type { Tool, ToolContext } from '#services/tools/tool.ts';

/** Templates kept while reading; far more than are put out, so that rare ones survive until counts are known. */
const templatesKept = 2_000;
const maximumFiles = 10_000;
const listedFiles = 1_000;
const listedSkips = 100;
/** Messages are told apart by their beginning. */
const messageCharacters = 2_000;

const input = z.strictObject({
  path: pathInput,
  /** Names to take below a folder, e.g. `*.log` or `nginx/**`. */
  glob: z.string().min(1).max(500).optional(),
  maxClusters: z.int().min(1).max(500).default(50),
  /** Bytes of text to read in all, after decompression. */
  maxBytes: z
    .int()
    .min(1)
    .max(4 * 1024 ** 3)
    .default(512 * 1024 ** 2),
  /** Lines older than this are left out, as far as they carry a time. */
  since: z.iso.datetime({ offset: true }).optional(),
});

const skippedPlace = z.object({ file: z.string(), reason: z.string() });
const output = z.object({
  files: z.array(z.string()),
  lines: z.int().nonnegative(),
  bytes: z.int().nonnegative(),
  skipped: z.array(skippedPlace),
  /** `maxBytes` or the number of files ended the reading before the end. */
  truncated: z.boolean(),
  /** Templates that are not listed, and how many lines they stand for. */
  unlisted: z.object({ clusters: z.int().nonnegative(), lines: z.int().nonnegative() }),
  clusters: z.array(
    z.object({
      id: z.string(),
      template: z.string(),
      count: z.int().positive(),
      level: z.enum(logLevels),
      /** Number of the line, from 1, in the first of `files`. */
      firstLine: z.int().positive(),
      samples: z.array(z.string()),
      files: z.array(z.string()),
    }),
  ),
});

type ClusterInput = z.output<typeof input>;

/** What is known of one reading of many files. */
interface Reading {
  drain: Drain;
  files: string[];
  skipped: SkippedPlace[];
  lines: number;
  bytes: number;
  truncated: boolean;
}

/** Takes the lines of one file. Lines without a time share the fate of the last one that had one. */
function lineReader(reading: Reading, file: string, modifiedMs: number, sinceMs: number | null): (line: string) => void {
  let lineNumber = 0;
  let tooOld = false;
  return (line) => {
    lineNumber += 1;
    if (line.trim() === '' || isContinuation(line)) {
      if (!tooOld) reading.lines += 1;
      return;
    }
    const record = readRecord(line);
    if (sinceMs !== null && record.time !== null) {
      const timeMs = timeToMs(record.time, modifiedMs);
      if (timeMs !== null) tooOld = timeMs < sinceMs;
    }
    if (tooOld) return;
    reading.lines += 1;
    reading.drain.add({ level: record.level, tokens: maskedTokens(record.message.slice(0, messageCharacters)), line, file, lineNumber });
  };
}

async function readFileLines(found: FoundFile, boundary: Boundary, { maxBytes, since }: ClusterInput, reading: Reading, signal: AbortSignal): Promise<void> {
  await using file = await openFile(found.real, boundary);
  const modifiedMs = Number(file.stats.mtimeMs);
  const sinceMs = since === undefined ? null : Date.parse(since);
  if (sinceMs !== null && modifiedMs < sinceMs) {
    reading.skipped.push({ file: found.name, reason: 'not changed since then' });
    return;
  }
  const cutter = new LineCutter(lineReader(reading, found.name, modifiedMs, sinceMs));
  let first = true;
  for await (const chunk of contentOf(file.handle, found.name.endsWith('.gz'), signal)) {
    if (first && looksBinary(chunk)) {
      reading.skipped.push({ file: found.name, reason: 'binary' });
      return;
    }
    if (first) reading.files.push(found.name);
    first = false;
    const room = maxBytes - reading.bytes;
    cutter.push(chunk.length > room ? chunk.subarray(0, room) : chunk);
    reading.bytes += Math.min(chunk.length, room);
    if (chunk.length > room) {
      reading.truncated = true;
      break;
    }
  }
  cutter.finish();
}

async function readAll(home: string, given: ClusterInput, context: ToolContext): Promise<Reading> {
  const boundary = await readBoundary(home, context.settings);
  const reading: Reading = { drain: new Drain({ capacity: templatesKept }), files: [], skipped: [], lines: 0, bytes: 0, truncated: false };
  let taken = 0;
  for await (const found of filesBelow(absolutePath(given.path, boundary), boundary, given.glob, context.signal, reading.skipped)) {
    if (taken >= maximumFiles || reading.truncated) {
      reading.truncated = true;
      break;
    }
    taken += 1;
    try {
      await readFileLines(found, boundary, given, reading, context.signal);
    } catch (error) {
      context.signal.throwIfAborted();
      if (found.given) throw fileFailure(error, found.name);
      reading.skipped.push({ file: found.name, reason: error instanceof Error ? error.message : String(error) });
    }
  }
  return reading;
}

async function clusterLogs(home: string, given: ClusterInput, context: ToolContext): Promise<z.input<typeof output>> {
  const { drain, files, skipped, lines, bytes, truncated } = await readAll(home, given, context);
  const all = drain.clusters();
  const rest = all.slice(given.maxClusters);
  return {
    files: files.slice(0, listedFiles),
    lines,
    bytes,
    skipped: skipped.slice(0, listedSkips),
    truncated,
    unlisted: {
      clusters: rest.length + drain.forgotten.clusters,
      lines: rest.reduce((sum, cluster) => sum + cluster.count, 0) + drain.forgotten.lines,
    },
    clusters: all.slice(0, given.maxClusters).map((cluster) => ({
      id: clusterId(cluster),
      template: templateOf(cluster),
      count: cluster.count,
      level: cluster.level,
      firstLine: cluster.firstLine,
      samples: cluster.samples,
      files: cluster.files,
    })),
  };
}

export const logTools = ({ home }: { home: string }): Tool[] => [
  defineTool({
    name: 'log.cluster',
    version: 1,
    description: 'Reads log files (plain, .gz, JSON lines; a file or all below a folder) and groups their lines by template, most severe first.',
    effect: 'idempotent',
    input,
    output,
    limits: { timeoutMs: 600_000, outputBytes: 2 * 1024 * 1024 },
    execute: (given, context) => clusterLogs(home, given, context),
  }),
];
