/** Token counts as OpenAI reports them: `prompt_tokens` includes the cached ones, `completion_tokens` the reasoning ones. */
export interface ScriptedUsage {
  promptTokens: number;
  cachedTokens?: number;
  completionTokens: number;
  reasoningTokens?: number;
}

interface Common {
  /** Takes this reply only for requests whose messages contain the text; replies without it are taken in order. */
  when?: string;
  /** How many requests this reply serves; default 1. `always` may also serve none. */
  times?: number | 'always';
}

/** One answer of the scripted server. A request that asks for a stream gets `text` and `toolCalls` as server-sent events. */
export type ScriptedReply = Common &
  (
    | {
        kind: 'text';
        text: string;
        usage?: ScriptedUsage;
        finishReason?: string /** The stream's pieces; default: one. */;
        pieces?: string[];
        pieceDelayMs?: number;
      }
    | { kind: 'toolCalls'; calls: { id: string; name: string; arguments: string }[]; usage?: ScriptedUsage }
    | { kind: 'refusal'; text: string }
    | { kind: 'error'; status: number; message?: string; code?: string; headers?: Record<string, string> }
    /** Takes the request and never answers. */
    | { kind: 'hang' }
    /** Ends the body in the middle of its JSON or of its stream, as a complete HTTP message. */
    | { kind: 'truncated'; text: string }
    /** Breaks the connection in the middle of the body. */
    | { kind: 'broken'; text: string }
    /** Anything else a confused server may say. */
    | { kind: 'raw'; body: string; status?: number; contentType?: string }
  );

export interface ChatRequest {
  model: string;
  stream: boolean;
  /** All messages' text, joined by line breaks. */
  text: string;
  body: Record<string, unknown>;
  headers: Record<string, string | string[] | undefined>;
}

/** Hands out replies and keeps account of what went wrong. */
export class Script {
  readonly failures: string[] = [];
  readonly #replies: { reply: ScriptedReply; left: number }[];

  constructor(replies: ScriptedReply[]) {
    this.#replies = replies.map((reply) => ({ reply, left: reply.times === 'always' ? Number.POSITIVE_INFINITY : (reply.times ?? 1) }));
  }

  take(request: ChatRequest): ScriptedReply | null {
    const entry = this.#replies.find(({ reply, left }) => left > 0 && (reply.when === undefined || request.text.includes(reply.when)));
    if (entry === undefined) {
      this.failures.push(`No reply is left for a request to ${request.model}: ${JSON.stringify(request.text.slice(0, 200))}`);
      return null;
    }
    entry.left -= 1;
    return entry.reply;
  }

  leftovers(): string[] {
    return this.#replies
      .filter(({ left }) => Number.isFinite(left) && left > 0)
      .map(
        ({ reply, left }) =>
          `A reply of kind ${reply.kind}${reply.when === undefined ? '' : ` for ${JSON.stringify(reply.when)}`} was not asked for (${left} left)`,
      );
  }
}
