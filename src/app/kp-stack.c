/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Keepsake authors */

#include "kp-stack.h"

#define PAGES "kp-stack-pages"

/* Takes the pages that the .ui file has. */
static GHashTable *
get_pages (GtkStack *stack)
{
  GHashTable *pages = g_object_get_data (G_OBJECT (stack), PAGES);
  GtkWidget *next;

  if (pages != NULL)
    return pages;
  pages = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_object_unref);
  for (GtkWidget *child = gtk_widget_get_first_child (GTK_WIDGET (stack)); child != NULL;
       child = next)
    {
      GtkStackPage *page = gtk_stack_get_page (stack, child);
      next = gtk_widget_get_next_sibling (child);
      g_hash_table_insert (pages, g_strdup (gtk_stack_page_get_name (page)), g_object_ref (child));
      gtk_stack_remove (stack, child);
    }
  g_object_set_data_full (G_OBJECT (stack), PAGES, pages, (GDestroyNotify) g_hash_table_unref);
  return pages;
}

/**
 * kp_stack_show:
 * @name: of a page of the .ui file
 *
 * Returns: (transfer none): the page
 */
GtkWidget *
kp_stack_show (GtkStack *stack, const char *name)
{
  GtkWidget *shown = g_hash_table_lookup (get_pages (stack), name);
  GtkWidget *old = gtk_stack_get_visible_child (stack);

  if (old == shown)
    return shown;
  gtk_stack_add_named (stack, shown, name);
  gtk_stack_set_visible_child (stack, shown);
  if (old != NULL)
    gtk_stack_remove (stack, old);
  return shown;
}
