
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('orgs', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='DeadLetter',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('received_at', models.DateTimeField(auto_now_add=True)),
                ('source', models.CharField(max_length=32)),
                ('reason', models.CharField(max_length=64)),
                ('message', models.TextField()),
                ('trace_id', models.CharField(blank=True, max_length=256)),
                ('span_id', models.CharField(blank=True, max_length=256)),
                ('payload', models.TextField(help_text='The span as JSON')),
                ('truncated', models.BooleanField(default=False, help_text='The payload was cut and cannot be driven again')),
                ('redriven_at', models.DateTimeField(blank=True, null=True)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='orgs.project')),
            ],
            options={
                'indexes': [models.Index(fields=['project', '-received_at'], name='dead_letter_by_project'), models.Index(fields=['received_at'], name='dead_letter_by_age')],
            },
        ),
    ]
