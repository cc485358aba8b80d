import type { ChatRequest, ScriptedReply, ScriptedUsage } from './script.ts';

/** The wire format of OpenAI's chat completions (https://platform.openai.com/docs/api-reference/chat), as far as kOS reads it. */
const identity = { id: 'chatcmpl-scripted', created: 1_700_000_000 };

type Answer = Extract<ScriptedReply, { kind: 'text' | 'toolCalls' | 'refusal' }>;

export function completionBody(reply: Answer, request: ChatRequest): object {
  return {
    ...identity,
    object: 'chat.completion',
    model: request.model,
    choices: [{ index: 0, message: { role: 'assistant', ...wholeMessage(reply) }, finish_reason: finishReason(reply), logprobs: null }],
    usage: usageBody('usage' in reply ? reply.usage : undefined),
  };
}

/** Server-sent events of one stream, the closing `[DONE]` included. */
export function streamEvents(reply: Answer, request: ChatRequest): string[] {
  const chunk = (delta: object, reason: string | null = null): object => ({
    ...identity,
    object: 'chat.completion.chunk',
    model: request.model,
    choices: [{ index: 0, delta, finish_reason: reason }],
  });
  const usage = {
    ...identity,
    object: 'chat.completion.chunk',
    model: request.model,
    choices: [],
    usage: usageBody('usage' in reply ? reply.usage : undefined),
  };
  const wantsUsage = (request.body['stream_options'] as { include_usage?: boolean } | undefined)?.include_usage === true;
  const chunks = [
    chunk({ role: 'assistant', content: '' }),
    ...deltas(reply).map((delta) => chunk(delta)),
    chunk({}, finishReason(reply)),
    ...(wantsUsage ? [usage] : []),
  ];
  return [...chunks.map((data) => `data: ${JSON.stringify(data)}\n\n`), 'data: [DONE]\n\n'];
}

export function errorBody(message: string, code: string | null): object {
  return { error: { message, type: 'scripted_error', param: null, code } };
}

function wholeMessage(reply: Answer): object {
  switch (reply.kind) {
    case 'text':
      return { content: reply.text, refusal: null };
    case 'refusal':
      return { content: null, refusal: reply.text };
    case 'toolCalls':
      return { content: null, tool_calls: reply.calls.map(toolCall) };
  }
}

function deltas(reply: Answer): object[] {
  switch (reply.kind) {
    case 'text':
      return (reply.pieces ?? [reply.text]).map((content) => ({ content }));
    case 'refusal':
      return [{ refusal: reply.text }];
    case 'toolCalls':
      return reply.calls.map((call, index) => ({ tool_calls: [{ index, ...toolCall(call) }] }));
  }
}

const toolCall = (call: { id: string; name: string; arguments: string }): object => ({
  id: call.id,
  type: 'function',
  function: { name: call.name, arguments: call.arguments },
});

function finishReason(reply: Answer): string {
  if (reply.kind === 'toolCalls') return 'tool_calls';
  return reply.kind === 'text' ? (reply.finishReason ?? 'stop') : 'stop';
}

function usageBody(usage: ScriptedUsage = { promptTokens: 10, completionTokens: 5 }): object {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    prompt_tokens_details: { cached_tokens: usage.cachedTokens ?? 0, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: usage.reasoningTokens ?? 0, audio_tokens: 0 },
  };
}
