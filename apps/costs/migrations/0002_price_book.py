"""The price book with its history, the repricing jobs, and what the spans they changed were before."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


# No foreign keys: millions of rows come in bulk and go in bulk.
CHANGE = """
CREATE TABLE reprice_change (
    job_id integer NOT NULL,
    project_id integer NOT NULL,
    start_time timestamptz NOT NULL,
    trace_id text NOT NULL,
    span_id text NOT NULL,
    ingested_at timestamptz NOT NULL,
    prompt_cost bigint,
    completion_cost bigint,
    total_cost bigint,
    computed_cost bigint,
    cost_source text NOT NULL,
    unpriced_reason text,
    price_version_id text,
    PRIMARY KEY (job_id, project_id, start_time, trace_id, span_id)
)
"""


class Migration(migrations.Migration):

    dependencies = [
        ('costs', '0001_budgets'),
        ('orgs', '0003_names'),
    ]

    operations = [
        migrations.CreateModel(
            name='PriceEntry',
            fields=[
                ('id', models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField()),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='price_entries', to='orgs.organization')),
            ],
        ),
        migrations.CreateModel(
            name='PriceVersion',
            fields=[
                ('id', models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.IntegerField(help_text='Counts from 1 within the entry')),
                ('provider', models.CharField(max_length=256, null=True)),
                ('match', models.CharField(choices=[('exact', 'Exact'), ('prefix', 'Prefix'), ('regex', 'Regex')], max_length=8)),
                ('model', models.CharField(max_length=256)),
                ('service_tier', models.CharField(max_length=16, null=True)),
                ('effective_from', models.DateTimeField(help_text='None: from the beginning of time', null=True)),
                ('effective_to', models.DateTimeField(help_text='None: until further notice', null=True)),
                ('prices', models.JSONField(help_text='Dollars as texts, by kind')),
                ('tiers', models.JSONField(default=list, help_text='Prices of larger prompts: above, prices')),
                ('source', models.CharField(blank=True, max_length=500)),
                ('note', models.CharField(blank=True, max_length=1000)),
                ('author', models.CharField(max_length=254)),
                ('recorded_at', models.DateTimeField()),
                ('superseded_at', models.DateTimeField(null=True)),
                ('entry', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='versions', to='costs.priceentry')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='price_versions', to='orgs.organization')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('superseded_at', None)), fields=['organization'], name='price_version_holding')],
                'constraints': [models.UniqueConstraint(fields=('entry', 'number'), name='price_version_number'), models.UniqueConstraint(condition=models.Q(('superseded_at', None)), fields=('entry',), name='price_version_one_holds')],
            },
        ),
        migrations.CreateModel(
            name='RepriceJob',
            fields=[
                ('id', models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('counting', 'Counting'), ('counted', 'Counted'), ('applying', 'Applying'), ('applied', 'Applied'), ('undoing', 'Undoing'), ('undone', 'Undone'), ('failed', 'Failed')], default='counting', max_length=10)),
                ('start_time', models.DateTimeField()),
                ('end_time', models.DateTimeField()),
                ('project_ids', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=None)),
                ('providers', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=256), default=list, size=None)),
                ('model_names', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=256), default=list, size=None)),
                ('include_client_costs', models.BooleanField(default=False)),
                ('apply_at_once', models.BooleanField(default=False)),
                ('believed_at', models.DateTimeField(help_text='The price book is read as it was believed then')),
                ('price_list', models.CharField(help_text='The bundled price list', max_length=64)),
                ('position', models.JSONField(help_text='Behind which span to go on', null=True)),
                ('counted', models.JSONField(default=dict)),
                ('applied', models.JSONField(default=dict)),
                ('undone', models.JSONField(default=dict)),
                ('author', models.CharField(max_length=254)),
                ('error', models.CharField(blank=True, max_length=500)),
                ('created_at', models.DateTimeField()),
                ('counted_at', models.DateTimeField(null=True)),
                ('applied_at', models.DateTimeField(null=True)),
                ('undone_at', models.DateTimeField(null=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='reprice_jobs', to='orgs.organization')),
            ],
            options={
                'indexes': [models.Index(fields=['organization', '-id'], name='reprice_by_organization')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state__in', ['counting', 'applying', 'undoing'])), fields=('organization',), name='reprice_one_at_a_time')],
            },
        ),
        migrations.RunSQL(CHANGE, "DROP TABLE reprice_change"),
    ]
