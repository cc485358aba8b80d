/** Plans whose effects the sink counts, beside `fan-out`, whose effects are files. Paths name run and item: they are the effect's key, as the sink sees it. */
export const chaosPlans = {
  /** Idempotent effects: may be asked for again under the same key, must each be asked for. */
  fetch: `plan: chaos-fetch
input: { type: object, required: [sink, count], properties: { sink: { type: string }, count: { type: integer } } }
steps:
  call:
    forEach: \${range(input.count)}
    concurrency: 10
    tool: http.fetch
    with: { url: '\${input.sink}/fetch/\${run.id}/\${index}' }
`,
  /** Effects that nothing may repeat: once, or left to a person as \`uncertain\`. */
  send: `plan: chaos-send
input: { type: object, required: [sink, count], properties: { sink: { type: string }, count: { type: integer } } }
steps:
  call:
    forEach: \${range(input.count)}
    concurrency: 5
    tool: http.send
    with: { url: '\${input.sink}/send/\${run.id}/\${index}', json: { run: '\${run.id}', index: '\${index}' } }
`,
  /** One after the other: any standstill of the engine is a standstill of this run. */
  chain: `plan: chaos-chain
fuse: none
input: { type: object, required: [sink], properties: { sink: { type: string } } }
steps:
${Array.from({ length: 40 }, (_, index) => `  s${index}: { tool: http.fetch, with: { url: '\${input.sink}/chain/\${run.id}/${index}' }${index === 0 ? '' : `, needs: [s${index - 1}]`} }`).join('\n')}
`,
  approval: `plan: chaos-approval
input: { type: object, required: [sink], properties: { sink: { type: string } } }
steps:
  ask: { approval: { for: [call], message: Go on? } }
  call: { tool: http.fetch, with: { url: '\${input.sink}/approval/\${run.id}/0' } }
`,
  timer: `plan: chaos-timer
input: { type: object, required: [sink, forMs], properties: { sink: { type: string }, forMs: { type: integer } } }
steps:
  pause: { wait: { forMs: '\${input.forMs}' } }
  call: { tool: http.fetch, with: { url: '\${input.sink}/timer/\${run.id}/0' }, needs: [pause] }
`,
} as const;

export const chainLength = 40;
