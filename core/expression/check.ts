import type { TemplateFault } from './faults.ts';
import type { Expression } from './expression.ts';
import { Inference, type Variables } from './infer.ts';
import { dyn, join, listOf, type StaticType, stringType, typeOfJson } from './static-type.ts';
import type { Template, TemplateNode } from './template.ts';

/** What a template may see, with what is known of it. */
export interface StaticScope {
  variables: Variables;
  /** Names that exist elsewhere, with the reason why not here. */
  absent?: ReadonlyMap<string, string>;
}

/** What a template's value will be, node by node, so that it can be held against a JSON Schema. */
export interface TypedTemplate {
  type: StaticType;
  faults: TemplateFault[];
  typeOf: (expression: Expression) => StaticType;
}

/** Checks every expression of a template against what is known of its variables; finds the type of the whole. */
export function checkTemplate(template: Template, scope: StaticScope): TypedTemplate {
  const types = new Map<Expression, StaticType>();
  const faults: TemplateFault[] = [];
  for (const { expression, pointer, offset } of template.expressions) {
    const inference = new Inference(scope.absent ?? new Map());
    const type = inference.infer(expression.ast, scope.variables);
    const found = inference.faults.length > 0 ? inference.faults : [expression.check()].filter((fault) => fault !== undefined);
    for (const fault of found) faults.push({ ...fault, pointer, source: expression.source, offset });
    types.set(expression, found.length > 0 ? dyn : type);
  }
  const typeOf = (expression: Expression): StaticType => types.get(expression) ?? dyn;
  return { type: typeOfNode(template.root, typeOf), faults, typeOf };
}

export function typeOfNode(node: TemplateNode, typeOf: (expression: Expression) => StaticType): StaticType {
  switch (node.kind) {
    case 'constant':
      return typeOfJson(node.value);
    case 'expression':
      return typeOf(node.expression);
    case 'text':
      return stringType;
    case 'list':
      return listOf(node.items.length === 0 ? dyn : node.items.map((item) => typeOfNode(item, typeOf)).reduce(join));
    case 'object':
      return { kind: 'object', fields: new Map(node.entries.map(([key, member]) => [key, typeOfNode(member, typeOf)])), rest: null };
  }
}
