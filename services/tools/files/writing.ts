import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { defineTool } from '#services/tools/define.ts';
import { readBoundary } from '#services/tools/files/boundary.ts';
import { errnoOf, fileFailure } from '#services/tools/files/failures.ts';
import { openFile, openParentForWriting } from '#services/tools/files/opening.ts';
import { pathInput, readWindow } from '#services/tools/files/reading.ts';
import { placeFile } from '#services/tools/files/staging.ts';
import { type Tool, type ToolContext, ToolFailure } from '#services/tools/tool.ts';

const maximumContentCharacters = 8 * 1024 * 1024;
const base64Pattern = /^[A-Za-z0-9+/]*={0,2}$/;

const contentInput = {
  path: pathInput,
  content: z.string().max(maximumContentCharacters),
  encoding: z.enum(['utf8', 'base64']).default('utf8'),
};
const writeInput = z
  .strictObject(contentInput)
  .refine(({ content, encoding }) => encoding === 'utf8' || (content.length % 4 === 0 && base64Pattern.test(content)), {
    path: ['content'],
    message: 'must be base64',
  });
type WriteInput = z.output<typeof writeInput>;

const writeOutput = z.object({ path: z.string(), bytes: z.int().nonnegative(), sha256: z.string() });
const createOutput = z.object({
  path: z.string(),
  /** False when the file was there with this very content: the effect of an earlier attempt. */
  created: z.boolean(),
  bytes: z.int().nonnegative(),
});

async function write(home: string, input: WriteInput, context: ToolContext): Promise<z.input<typeof writeOutput>> {
  const content = Buffer.from(input.content, input.encoding);
  const boundary = await readBoundary(home, context.settings);
  const { folder, name } = await openParentForWriting(input.path, boundary);
  await using _opened = folder;
  context.signal.throwIfAborted();
  await placeFile(folder, name, content, 'replace', boundary).catch((error: unknown) => {
    throw fileFailure(error, input.path);
  });
  return { path: join(folder.real, name), bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') };
}

async function holds(home: string, path: string, content: Buffer, context: ToolContext): Promise<boolean> {
  const boundary = await readBoundary(home, context.settings);
  await using file = await openFile(path, boundary);
  return Number(file.stats.size) === content.length && (await readWindow(file.handle, 0, content.length + 1, context.signal)).equals(content);
}

async function create(home: string, input: WriteInput, context: ToolContext): Promise<z.input<typeof createOutput>> {
  const content = Buffer.from(input.content, input.encoding);
  const boundary = await readBoundary(home, context.settings);
  const { folder, name } = await openParentForWriting(input.path, boundary);
  await using _opened = folder;
  context.signal.throwIfAborted();
  const path = join(folder.real, name);
  try {
    await placeFile(folder, name, content, 'exclusive', boundary);
    return { path, created: true, bytes: content.length };
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw fileFailure(error, input.path);
  }
  if (await holds(home, path, content, context)) return { path, created: false, bytes: content.length };
  throw new ToolFailure({
    code: 'already_exists',
    message: `${path} exists with other content`,
    fix: 'Choose another name, or use fs.write to replace it.',
    status: 409,
    effect: 'none',
  });
}

/** Tools that leave files behind: whole and durable when they answer, and the same when they are repeated. */
export function writingTools(home: string): Tool[] {
  const limits = { timeoutMs: 60_000, outputBytes: 64 * 1024 };
  return [
    defineTool({
      name: 'fs.write',
      version: 1,
      description: 'Writes a file, replacing what is there; missing folders are made. A reader sees the old content or the new, never a part.',
      effect: 'idempotent',
      quick: true,
      input: writeInput,
      output: writeOutput,
      limits,
      execute: (input, context) => write(home, input, context),
    }),
    defineTool({
      name: 'fs.create',
      version: 1,
      description: 'Makes a file that must not exist yet. Repeated with the same content it changes nothing and says created: false.',
      effect: 'idempotent',
      quick: true,
      input: writeInput,
      output: createOutput,
      limits,
      execute: (input, context) => create(home, input, context),
    }),
  ];
}
