import { createHash } from 'node:crypto';
import { z } from 'zod';
import { defineTool, maximumOutputBytes } from '#services/tools/define.ts';
import { ToolFailure } from '#services/tools/tool.ts';

const limits = { timeoutMs: 5_000, outputBytes: maximumOutputBytes };
const maximumPieces = 100_000;

function splitWithin(tool: string, text: string, separator: string): string[] {
  const pieces = text.split(separator, maximumPieces + 1);
  if (pieces.length <= maximumPieces) return pieces;
  throw new ToolFailure({ code: 'too_many_pieces', message: `${tool} found more than ${maximumPieces} pieces`, fix: 'Split a smaller text.', effect: 'none' });
}

const lines = defineTool({
  name: 'text.lines',
  version: 1,
  description: 'Splits text into lines at \\n or \\r\\n; a line end at the end of the text adds no empty line.',
  effect: 'pure',
  quick: true,
  input: z.strictObject({ text: z.string(), skipEmpty: z.boolean().default(false) }),
  output: z.object({ lines: z.array(z.string()) }),
  limits,
  async execute({ text, skipEmpty }) {
    const ended = text.endsWith('\n') ? text.slice(0, -1) : text;
    const all = text === '' ? [] : splitWithin('text.lines', ended, '\n').map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
    return { lines: skipEmpty ? all.filter((line) => line.trim() !== '') : all };
  },
});

const split = defineTool({
  name: 'text.split',
  version: 1,
  description: 'Splits text at every occurrence of a literal separator.',
  effect: 'pure',
  quick: true,
  input: z.strictObject({ text: z.string(), separator: z.string().min(1) }),
  output: z.object({ parts: z.array(z.string()) }),
  limits,
  async execute({ text, separator }) {
    return { parts: splitWithin('text.split', text, separator) };
  },
});

const truncate = defineTool({
  name: 'text.truncate',
  version: 1,
  description: 'Shortens text to at most maxCharacters (Unicode code points, the ending included) and says whether it did.',
  effect: 'pure',
  quick: true,
  input: z.strictObject({ text: z.string(), maxCharacters: z.int().min(0).max(maximumOutputBytes), ending: z.string().max(100).default('…') }),
  output: z.object({ text: z.string(), truncated: z.boolean() }),
  limits,
  async execute({ text, maxCharacters, ending }) {
    const characters = Array.from(text);
    if (characters.length <= maxCharacters) return { text, truncated: false };
    const endingCharacters = Array.from(ending).slice(0, maxCharacters);
    return { text: [...characters.slice(0, maxCharacters - endingCharacters.length), ...endingCharacters].join(''), truncated: true };
  },
});

const replace = defineTool({
  name: 'text.replace',
  version: 1,
  description: 'Replaces every occurrence of a literal text; no patterns.',
  effect: 'pure',
  quick: true,
  input: z.strictObject({ text: z.string(), find: z.string().min(1), replacement: z.string() }),
  output: z.object({ text: z.string(), count: z.int().nonnegative() }),
  limits,
  async execute({ text, find, replacement }) {
    const parts = text.split(find);
    const characters = text.length + (parts.length - 1) * (replacement.length - find.length);
    if (characters > limits.outputBytes) {
      throw new ToolFailure({
        code: 'output_too_large',
        message: `text.replace would put out ${characters} characters; at most ${limits.outputBytes} are allowed`,
        effect: 'none',
      });
    }
    return { text: parts.join(replacement), count: parts.length - 1 };
  },
});

const digest = defineTool({
  name: 'text.digest',
  version: 1,
  description: 'SHA-256 of the UTF-8 bytes of a text, as lower-case hex.',
  effect: 'pure',
  quick: true,
  input: z.strictObject({ text: z.string() }),
  output: z.object({ sha256: z.string(), bytes: z.int().nonnegative() }),
  limits,
  async execute({ text }) {
    return { sha256: createHash('sha256').update(text, 'utf8').digest('hex'), bytes: Buffer.byteLength(text) };
  },
});

export const textTools = [lines, split, truncate, replace, digest];
