package io.uwfq.spark.sql;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;
import org.apache.spark.sql.catalyst.plans.QueryPlan;
import scala.Function1;
import scala.collection.Iterator;
import scala.collection.Seq;
import scala.collection.immutable.$colon$colon;
import scala.collection.immutable.Nil$;
import scala.runtime.AbstractFunction1;
import scala.runtime.AbstractPartialFunction;

/** What it takes to speak with Scala's collections, the same for 2.12 and 2.13. */
final class Scala {
  private Scala() {}

  static <T> List<T> list(Seq<? extends T> elements) {
    List<T> list = new ArrayList<>(elements.size());
    Iterator<? extends T> iterator = elements.iterator();
    while (iterator.hasNext()) {
      list.add(iterator.next());
    }
    return list;
  }

  /** An immutable sequence, which is what {@code Seq} means to either version. */
  static <T> scala.collection.immutable.List<T> seq(List<T> elements) {
    scala.collection.immutable.List<T> list = empty();
    for (int i = elements.size() - 1; i >= 0; i--) {
      list = new $colon$colon<>(elements.get(i), list);
    }
    return list;
  }

  @SuppressWarnings("unchecked") // the empty list is a list of anything
  private static <T> scala.collection.immutable.List<T> empty() {
    return (scala.collection.immutable.List<T>) Nil$.MODULE$;
  }

  static <T> Function1<T, Object> test(Predicate<? super T> body) {
    return new AbstractFunction1<>() {
      @Override
      public Object apply(T argument) {
        return body.test(argument);
      }
    };
  }

  /** The arguments that a case class was made from, in their order. */
  static Object[] arguments(scala.Product product) {
    Object[] arguments = new Object[product.productArity()];
    for (int i = 0; i < arguments.length; i++) {
      arguments[i] = product.productElement(i);
    }
    return arguments;
  }

  /** A total function in the clothes of the partial one that a plan's transform methods take. */
  static <T> AbstractPartialFunction<T, T> rewriting(UnaryOperator<T> body) {
    return new AbstractPartialFunction<>() {
      @Override
      public boolean isDefinedAt(T node) {
        return true;
      }

      @Override
      @SuppressWarnings("unchecked") // B1 is a supertype of T, which Java cannot say
      public <A1 extends T, B1> B1 applyOrElse(A1 node, Function1<A1, B1> otherwise) {
        return (B1) body.apply(node);
      }
    };
  }

  /** Visits each node of a plan and of the subqueries in it, parents first. */
  static <P extends QueryPlan<P>> void forEachNode(P plan, Consumer<P> visit) {
    visit.accept(plan);
    list(plan.children()).forEach(child -> forEachNode(child, visit));
    list(plan.subqueries()).forEach(subquery -> forEachNode(subquery, visit));
  }
}
