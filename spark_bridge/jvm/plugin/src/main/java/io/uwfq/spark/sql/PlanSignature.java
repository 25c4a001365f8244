package io.uwfq.spark.sql;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.BiConsumer;
import java.util.function.BiFunction;
import java.util.regex.Pattern;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.Cast;
import org.apache.spark.sql.catalyst.expressions.ExprId;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.GetArrayStructFields;
import org.apache.spark.sql.catalyst.expressions.GetStructField;
import org.apache.spark.sql.catalyst.expressions.In;
import org.apache.spark.sql.catalyst.expressions.InSet;
import org.apache.spark.sql.catalyst.expressions.Literal;
import org.apache.spark.sql.catalyst.expressions.NamedExpression;
import org.apache.spark.sql.catalyst.expressions.PlanExpression;
import org.apache.spark.sql.catalyst.expressions.SortOrder;
import org.apache.spark.sql.catalyst.expressions.UserDefinedExpression;
import org.apache.spark.sql.catalyst.expressions.aggregate.AggregateExpression;
import org.apache.spark.sql.catalyst.expressions.objects.Invoke;
import org.apache.spark.sql.catalyst.expressions.objects.StaticInvoke;
import org.apache.spark.sql.catalyst.plans.QueryPlan;
import org.apache.spark.sql.catalyst.plans.logical.Aggregate;
import org.apache.spark.sql.catalyst.plans.logical.CTERelationDef;
import org.apache.spark.sql.catalyst.plans.logical.CTERelationRef;
import org.apache.spark.sql.catalyst.plans.logical.Command;
import org.apache.spark.sql.catalyst.plans.logical.Join;
import org.apache.spark.sql.catalyst.plans.logical.LeafNode;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Sort;
import org.apache.spark.sql.execution.columnar.InMemoryRelation;
import org.apache.spark.sql.execution.command.AnalyzeColumnCommand;
import org.apache.spark.sql.execution.command.AnalyzeTablesCommand;
import scala.collection.Iterator;

/**
 * A name for what a query does, the same for each of its runs.
 *
 * <p>The hash of a text that spells the plan: the operators, their expressions, the names of tables
 * and columns. Left out is what changes between runs of one query: literals, the length of an
 * {@code IN} list, expression ids, generated names, sizes, and dates in paths. What remains tells
 * {@code max} from {@code sum} and one table from another, and reads the same in all versions of
 * Spark whose optimizers agree on the plan.
 *
 * <p>Columns of a table go by their name. All others go by the order in which they appear, since
 * Spark names them after their expression, literals included.
 */
final class PlanSignature {
  /** Changes when the spelling does: old history must not be taken for new. */
  private static final String VERSION = "sql1-";

  private static final int HEX_DIGITS = 32;

  /** Columns that Spark named have other names: their expressions, literals included. */
  private static final Pattern GIVEN_NAME = Pattern.compile("[\\p{L}_][\\p{L}\\p{N}_]*");

  private final StringBuilder text = new StringBuilder(4096);
  private final Map<Long, String> nameById = new HashMap<>();
  private final boolean namesCachedTables;
  private int numberedNames;

  private PlanSignature(boolean namesCachedTables) {
    this.namesCachedTables = namesCachedTables;
  }

  /**
   * The signature of a plan; empty when it cannot be told, whatever the reason. Cost: one walk over
   * the plan.
   */
  static String of(LogicalPlan plan) {
    return of(plan, true);
  }

  /** The same, whatever the cached tables that it reads. */
  static String withoutCachedTables(LogicalPlan plan) {
    return of(plan, false);
  }

  private static String of(LogicalPlan plan, boolean namesCachedTables) {
    try {
      PlanSignature signature = new PlanSignature(namesCachedTables);
      signature.spell(queryOf(plan));
      return VERSION + hash(signature.text);
    } catch (Exception | LinkageError | AssertionError | StackOverflowError e) {
      return "";
    }
  }

  /** What a write writes: a query reads the same whether its rows are shown or stored. */
  private static LogicalPlan queryOf(LogicalPlan plan) {
    LogicalPlan query = plan;
    while (query instanceof Command && query.children().size() == 1) {
      query = (LogicalPlan) query.children().head();
    }
    return query;
  }

  private static String hash(CharSequence text) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      byte[] bytes = digest.digest(text.toString().getBytes(StandardCharsets.UTF_8));
      return HexFormat.of().formatHex(bytes).substring(0, HEX_DIGITS);
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }

  private void spell(QueryPlan<?> plan) {
    text.append(nameOf(plan)).append('(');
    // Inputs first: they introduce the columns that the operator's expressions speak of.
    for (Object child : Scala.list(plan.children())) {
      spell((QueryPlan<?>) child);
    }
    if (plan instanceof Command) {
      spellObjects(plan);
    } else if (plan instanceof LeafNode) {
      spellLeaf((LogicalPlan) plan);
    }
    spellDetails(plan);
    if (!(plan instanceof LeafNode)) {
      Scala.<Expression>list(plan.expressions()).forEach(this::spell);
    }
    text.append(')');
  }

  private static String nameOf(QueryPlan<?> plan) {
    String name = plan.getClass().getSimpleName();
    // saveAsTable: later releases of Spark 4 put this command around the other.
    return name.equals("SaveAsV1TableCommand") ? "CreateDataSourceTableAsSelectCommand" : name;
  }

  /**
   * What a command is about: the queries in it, else the tables that it names. Some commands show
   * neither, and have them among their arguments.
   */
  private void spellObjects(QueryPlan<?> command) {
    Scala.list(command.innerChildren()).forEach(this::spell);
    if (!command.innerChildren().isEmpty() || !command.children().isEmpty()) {
      return;
    }
    List<Object> arguments = Arrays.asList(Scala.arguments(command));
    List<LogicalPlan> queries =
        arguments.stream()
            .filter(argument -> argument instanceof LogicalPlan query && query.resolved())
            .map(LogicalPlan.class::cast)
            .toList();
    queries.forEach(this::spell);
    if (queries.isEmpty()) {
      arguments.forEach(argument -> text.append(RelationNames.ofArgument(argument)));
    }
  }

  private void spellLeaf(LogicalPlan leaf) {
    boolean cached = leaf instanceof InMemoryRelation;
    if (leaf instanceof CTERelationRef reference) {
      text.append(numbered(reference.cteId()));
    } else if (!cached || namesCachedTables) {
      text.append(RelationNames.of(leaf));
    }
    for (Attribute column : Scala.<Attribute>list(leaf.output())) {
      String name = column.name().toLowerCase(Locale.ROOT);
      if (cached && !GIVEN_NAME.matcher(name).matches()) {
        numbered(column.exprId());
      } else {
        nameById.put(column.exprId().id(), name);
      }
    }
  }

  /** What the kind of operator and its expressions leave open. */
  private void spellDetails(QueryPlan<?> plan) {
    if (plan instanceof Join join) {
      text.append(join.joinType().sql());
    } else if (plan instanceof Aggregate aggregate) {
      text.append(aggregate.groupingExpressions().size());
    } else if (plan instanceof Sort sort) {
      text.append(sort.global());
    } else if (plan instanceof CTERelationDef definition) {
      text.append(numbered(definition.id()));
    } else if (plan instanceof AnalyzeColumnCommand analysis) {
      if (analysis.columnNames().isDefined()) {
        Scala.<String>list(analysis.columnNames().get()).forEach(this::spellName);
      }
    } else if (plan instanceof AnalyzeTablesCommand analysis) {
      if (analysis.databaseName().isDefined()) {
        spellName(analysis.databaseName().get());
      }
    }
  }

  private void spellName(String name) {
    text.append(name.toLowerCase(Locale.ROOT)).append(',');
  }

  private void spell(Expression expression) {
    Kind kind = KINDS.get(expression.getClass());
    text.append(kind.name);
    kind.spelling.accept(this, expression);
    text.append(',');
  }

  /** How expressions of one class are spelled. */
  private record Kind(String name, BiConsumer<PlanSignature, Expression> spelling) {}

  /** Looked up by class: a plan has thousands of expressions of a dozen classes. */
  private static final ClassValue<Kind> KINDS =
      new ClassValue<>() {
        @Override
        protected Kind computeValue(Class<?> type) {
          boolean membership = type == In.class || type == InSet.class;
          return new Kind(membership ? "" : type.getSimpleName(), spellingOf(type));
        }
      };

  private static BiConsumer<PlanSignature, Expression> spellingOf(Class<?> type) {
    if (Literal.class.isAssignableFrom(type)) {
      return (signature, literal) -> {};
    }
    if (Attribute.class.isAssignableFrom(type)) {
      return (signature, attribute) -> signature.spellColumn((Attribute) attribute);
    }
    if (type == In.class) {
      return (signature, in) -> signature.spellMembership((In) in);
    }
    if (type == InSet.class) {
      return (signature, in) -> signature.spellMembership(((InSet) in).child());
    }
    BiConsumer<PlanSignature, Expression> details = detailsOf(type);
    return (signature, expression) -> {
      signature.text.append('(');
      signature.spellInputs(expression);
      details.accept(signature, expression);
      signature.text.append(')');
    };
  }

  /** What the class of an expression and its inputs leave open. */
  private static BiConsumer<PlanSignature, Expression> detailsOf(Class<?> type) {
    return DETAILS.entrySet().stream()
        .filter(entry -> entry.getKey().isAssignableFrom(type))
        .map(Map.Entry::getValue)
        .findFirst()
        .orElse((signature, expression) -> {});
  }

  /** The first class that fits counts. */
  private static final Map<Class<?>, BiConsumer<PlanSignature, Expression>> DETAILS =
      new LinkedHashMap<>();

  private static <E> void detail(Class<E> type, BiFunction<PlanSignature, E, Object> detail) {
    DETAILS.put(
        type,
        (signature, expression) ->
            signature.text.append(detail.apply(signature, type.cast(expression))));
  }

  static {
    DETAILS.put(
        PlanExpression.class,
        (signature, expression) -> signature.spell(((PlanExpression<?>) expression).plan()));
    detail(UserDefinedExpression.class, (signature, function) -> function.name());
    detail(NamedExpression.class, (signature, named) -> signature.numbered(named.exprId()));
    detail(AggregateExpression.class, (signature, aggregate) -> aggregate.isDistinct());
    detail(Cast.class, (signature, cast) -> cast.dataType().typeName());
    detail(SortOrder.class, (s, order) -> order.direction().sql() + order.nullOrdering().sql());
    // By name: the number of a field depends on which others are read.
    detail(GetStructField.class, (signature, get) -> get.extractFieldName());
    detail(GetArrayStructFields.class, (signature, get) -> get.field().name());
    detail(Invoke.class, (signature, call) -> call.functionName());
    detail(StaticInvoke.class, (signature, call) -> call.functionName());
  }

  private void spellInputs(Expression expression) {
    Iterator<Expression> inputs = expression.children().iterator();
    while (inputs.hasNext()) {
      spell(inputs.next());
    }
  }

  private void spellColumn(Attribute column) {
    String name = nameById.get(column.exprId().id());
    text.append(name == null ? numbered(column.exprId()) : name);
  }

  /** The length of a list of literals is one more literal, and long lists become sets. */
  private void spellMembership(In in) {
    boolean literals =
        Scala.<Expression>list(in.list()).stream().allMatch(Literal.class::isInstance);
    if (literals) {
      spellMembership(in.value());
    } else {
      text.append("In(");
      spellInputs(in);
      text.append(')');
    }
  }

  private void spellMembership(Expression value) {
    text.append("InLiterals(");
    spell(value);
    text.append(')');
  }

  private String numbered(ExprId id) {
    return numbered(id.id());
  }

  private String numbered(long id) {
    return nameById.computeIfAbsent(id, unseen -> "#" + numberedNames++);
  }
}
