import type { CompiledStep } from './compiled.ts';

/** A signal's name as its step writes it: the text around its expressions. One piece: the name itself. */
function piecesOf(step: CompiledStep): string[] {
  const { root } = step.input;
  if (root.kind === 'constant') return [(root.value as { name: string }).name];
  const node = root.kind === 'object' ? root.entries.find(([key]) => key === 'name')?.[1] : undefined;
  if (node?.kind !== 'text') return ['', ''];
  // Between two expressions, and before and after them, there may be nothing.
  return node.parts.reduce<string[]>(
    (pieces, part) => (typeof part === 'string' ? [...pieces.slice(0, -1), `${pieces.at(-1) ?? ''}${part}`] : [...pieces, '']),
    [''],
  );
}

/** Whether the step may wait for a signal of this name; of a name with expressions only the text around them is known before the step opens. */
export function mayTakeSignal(step: CompiledStep, name: string): boolean {
  const [first = '', ...rest] = piecesOf(step);
  if (rest.length === 0) return name === first;
  const last = rest.pop() ?? '';
  if (name.length < first.length + last.length || !name.startsWith(first) || !name.endsWith(last)) return false;
  let from = first.length;
  for (const piece of rest) {
    const at = name.indexOf(piece, from);
    if (at === -1) return false;
    from = at + piece.length;
  }
  return from <= name.length - last.length;
}

/** As people see it: `order-*` for a name with an expression. */
export const signalNameOf = (step: CompiledStep): string => piecesOf(step).join('*');
