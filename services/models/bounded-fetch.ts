import { ModelFailure } from './model.ts';

/** `fetch` whose answers end with a ModelFailure beyond so many bytes: a server that never stops talking must not fill the worker's memory. */
export const boundedFetch =
  (send: typeof fetch, mostBytes: number): typeof fetch =>
  async (input, init) => {
    const response = await send(input, init);
    if (response.body === null) return response;
    let bytes = 0;
    const counted = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        bytes += chunk.byteLength;
        if (bytes <= mostBytes) controller.enqueue(chunk);
        else controller.error(answerTooLarge(mostBytes));
      },
    });
    const { status, statusText, headers } = response;
    return new Response(response.body.pipeThrough(counted), { status, statusText, headers });
  };

const answerTooLarge = (mostBytes: number): ModelFailure =>
  new ModelFailure({
    code: 'output_too_large',
    message: `The model's answer has more than ${mostBytes} bytes.`,
    fix: 'Set maxOutputTokens in the step, and check what the model server sends.',
    status: 502,
    billed: 'unknown',
  });
