import ts from 'typescript';

/** Name of the counters in the bundle. */
export const COUNTERS = '__fuzzCounters';

/** Longest literal that is put before the fuzzer as a word: longer ones are texts for people. */
const WORD_MAX = 40;

/** What the fuzzer knows of the code: how many places are counted, and the words that it compares its input with. */
export class Instrumentation {
  places = 0;
  readonly words = new Set<string>();

  /** The JavaScript of a TypeScript file, with a counter wherever its flow divides. */
  transpile(source: string, fileName: string): string {
    const { outputText } = ts.transpileModule(source, {
      fileName,
      compilerOptions: {
        target: ts.ScriptTarget.ESNext,
        module: ts.ModuleKind.ESNext,
        verbatimModuleSyntax: true,
        inlineSourceMap: true,
        inlineSources: true,
      },
      transformers: { before: [(context) => (file) => this.#file(file, context)] },
    });
    return outputText;
  }

  #file(file: ts.SourceFile, context: ts.TransformationContext): ts.SourceFile {
    const { factory } = context;
    /** `__fuzzCounters[n]++` */
    const count = (): ts.Expression => {
      const counter = factory.createElementAccessExpression(factory.createIdentifier(COUNTERS), this.places++);
      return factory.createPostfixIncrement(counter);
    };
    const counted = (expression: ts.Expression): ts.Expression =>
      factory.createParenthesizedExpression(factory.createComma(count(), expression));
    const statement = (): ts.Statement => factory.createExpressionStatement(count());
    const block = (body: ts.Statement): ts.Block =>
      ts.isBlock(body)
        ? factory.updateBlock(body, [statement(), ...body.statements])
        : factory.createBlock([statement(), body]);
    const afterDirectives = (body: ts.Block): ts.Block => {
      const first = body.statements.findIndex(
        (each) => !ts.isExpressionStatement(each) || !ts.isStringLiteral(each.expression),
      );
      const at = first < 0 ? body.statements.length : first;
      return factory.updateBlock(body, [...body.statements.slice(0, at), statement(), ...body.statements.slice(at)]);
    };
    const visit = (node: ts.Node): ts.Node => {
      if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node) || ts.isTypeNode(node)) return node;
      if (ts.isStringLiteralLike(node) && node.text.length > 0 && node.text.length <= WORD_MAX)
        this.words.add(node.text);
      const each = ts.visitEachChild(node, visit, context);
      if (ts.isIfStatement(each)) {
        const otherwise = block(each.elseStatement ?? factory.createBlock([]));
        return factory.updateIfStatement(each, each.expression, block(each.thenStatement), otherwise);
      }
      if (ts.isForStatement(each))
        return factory.updateForStatement(
          each,
          each.initializer,
          each.condition,
          each.incrementor,
          block(each.statement),
        );
      if (ts.isForOfStatement(each))
        return factory.updateForOfStatement(
          each,
          each.awaitModifier,
          each.initializer,
          each.expression,
          block(each.statement),
        );
      if (ts.isWhileStatement(each)) return factory.updateWhileStatement(each, each.expression, block(each.statement));
      if (ts.isCaseClause(each))
        return factory.updateCaseClause(each, each.expression, [statement(), ...each.statements]);
      if (ts.isDefaultClause(each)) return factory.updateDefaultClause(each, [statement(), ...each.statements]);
      if (ts.isConditionalExpression(each)) {
        const { condition, questionToken, whenTrue, colonToken, whenFalse } = each;
        const [yes, no] = [counted(whenTrue), counted(whenFalse)];
        return factory.updateConditionalExpression(each, condition, questionToken, yes, colonToken, no);
      }
      if (ts.isBinaryExpression(each) && isShort(each.operatorToken.kind))
        return factory.updateBinaryExpression(each, each.left, each.operatorToken, counted(each.right));
      if (ts.isCatchClause(each))
        return factory.updateCatchClause(each, each.variableDeclaration, block(each.block) as ts.Block);
      // Constructors, too: a counter may stand before super()
      if (ts.isBlock(each) && ts.isFunctionLike(node.parent)) return afterDirectives(each);
      return each;
    };
    return ts.visitNode(file, visit) as ts.SourceFile;
  }
}

function isShort(kind: ts.SyntaxKind): boolean {
  return (
    kind === ts.SyntaxKind.AmpersandAmpersandToken ||
    kind === ts.SyntaxKind.BarBarToken ||
    kind === ts.SyntaxKind.QuestionQuestionToken
  );
}
