import { celEnvironment } from './expression.ts';
import { type StaticType, typeFromSignature } from './static-type.ts';

/** One way to call a function of the dialect, as the engine declares it. */
export interface Signature {
  receiver: StaticType | null;
  parameters: StaticType[];
  result: StaticType;
  text: string;
}

function readSignatures(): { functions: Map<string, Signature[]>; methods: Map<string, Signature[]> } {
  const functions = new Map<string, Signature[]>();
  const methods = new Map<string, Signature[]>();
  for (const declared of celEnvironment.getDefinitions().functions) {
    const signature: Signature = {
      receiver: declared.receiverType === null ? null : typeFromSignature(declared.receiverType),
      parameters: declared.params.map(({ type }) => typeFromSignature(type)),
      result: typeFromSignature(declared.returnType),
      text: declared.signature,
    };
    const table = signature.receiver === null ? functions : methods;
    const known = table.get(declared.name);
    if (known === undefined) table.set(declared.name, [signature]);
    else known.push(signature);
  }
  return { functions, methods };
}

const { functions, methods } = readSignatures();

export function functionSignatures(name: string): Signature[] {
  return functions.get(name) ?? [];
}

export function methodSignatures(name: string): Signature[] {
  return methods.get(name) ?? [];
}

export function functionNames(): string[] {
  return [...functions.keys()];
}

export function methodNames(): string[] {
  return [...methods.keys()];
}
